// The floor: the same words, one thread, no engine.
import { createReadStream } from 'node:fs';

const [file] = process.argv.slice(2);
const counts = new Map();
const count = (line) => {
  for (const word of line.match(/[A-Za-z0-9_]+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
};
let rest = '';
for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 20 })) {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  for (const line of lines) count(line);
}
count(rest);
let [words, distinct, squares] = [0, 0, 0];
for (const n of counts.values()) {
  words += n;
  distinct += 1;
  squares += n * n;
}
console.log(`ANSWER ${words} ${distinct} ${squares}`);
