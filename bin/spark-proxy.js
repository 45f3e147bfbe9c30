#!/usr/bin/env node
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 15)) {
  console.error(`spark-proxy needs Node 22.15 or newer; this is ${process.version}.`);
  process.exit(1);
}
const { existsSync } = await import('node:fs');
const built = new URL('../dist/cli/main.js', import.meta.url);
if (!existsSync(built)) {
  console.error('spark-proxy is not built in this checkout yet: run npm run build.');
  process.exit(1);
}
// The rest is compiled once, not at each start. Flags first: code is kept for the flags it was compiled under.
const { keepCodeWarm } = await import('../dist/core/warm-code.js');
const { keepCompiledCode } = await import('../dist/core/compile-cache.js');
keepCodeWarm();
keepCompiledCode();
await import(built.href);
