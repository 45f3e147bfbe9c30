// Loads the modules named on the command line and says how much processor time each took, in milliseconds.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(import.meta.url);
const taken = [];
for (const path of process.argv.slice(2)) {
  const before = process.cpuUsage();
  if (path.endsWith('.cjs')) require(path);
  else await import(pathToFileURL(path).href);
  const { user, system } = process.cpuUsage(before);
  taken.push((user + system) / 1000);
}
console.log(JSON.stringify(taken));
