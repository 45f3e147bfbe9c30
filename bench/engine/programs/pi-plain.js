// The floor: the same points, one thread, no engine.
const samples = Number(process.argv[2]);

function hash(n) {
  let h = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}

let inside = 0;
for (let i = 0; i < samples; i++) {
  const x = hash(2 * i) * 2 - 1;
  const y = hash(2 * i + 1) * 2 - 1;
  inside += x * x + y * y <= 1 ? 1 : 0;
}
console.log(`ANSWER ${inside}`);
