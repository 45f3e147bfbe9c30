// Loads modules one by one, with hooks or without, and says how much processor time each took, in microseconds; first, what had passed before.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { user, system } = process.cpuUsage();
const require = createRequire(import.meta.url);
const [stem, extension, hooked] = process.argv.slice(2);
const taken = [user + system];
for (const [n, on] of hooked.split('').entries()) {
  const path = `${stem}${n}${extension}`;
  globalThis.toggleHooks(on === '1');
  const before = process.cpuUsage();
  if (extension === '.cjs') require(path);
  else await import(pathToFileURL(path).href);
  const after = process.cpuUsage(before);
  taken.push(after.user + after.system);
}
console.log(JSON.stringify(taken));
