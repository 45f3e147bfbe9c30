import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import { join } from 'node:path';
import { globSync } from 'tinyglobby';
import { CACHE, ROOT } from '../support/paths.ts';

/** Text that people wrote: documentation, licences, declarations. */
const PATTERNS = ['node_modules/**/*.md', 'node_modules/**/*.d.{ts,mts,cts}', 'node_modules/**/{LICENSE,LICENCE,license,licence}*'];
/** Of a copy of the text, every second word gets the number of the copy as a suffix. */
const SUFFIX_EVERY = 2;

export interface Corpus {
  readonly file: string;
  readonly bytes: number;
}

/**
 * A file of at least `bytes` of the texts under `node_modules`, in the order of their names, again and again until it is
 * large enough. From the second copy on, words in fixed places get a suffix, so that distinct words grow with the size.
 * The same installation gives the same file; it is kept in the cache.
 */
export async function corpus(bytes: number): Promise<Corpus> {
  mkdirSync(CACHE, { recursive: true });
  const file = join(CACHE, `corpus-${Math.round(bytes / 1e6)}mb-${SUFFIX_EVERY}.txt`);
  if (existsSync(file)) return { file, bytes: statSync(file).size };
  const texts = globSync(PATTERNS, { cwd: ROOT, onlyFiles: true, followSymbolicLinks: false }).sort();
  const partial = `${file}.${process.pid}`;
  const out = createWriteStream(partial);
  let written = 0;
  for (let copy = 0; written < bytes; copy++) {
    const before = written;
    let words = 0;
    for (const name of texts) {
      if (written >= bytes) break;
      let text = readFileSync(join(ROOT, name), 'utf8').replaceAll('\r', '');
      if (copy > 0) text = text.replace(/[A-Za-z]{4,}/g, (word) => (++words % SUFFIX_EVERY === 0 ? `${word}${copy}` : word));
      const chunk = Buffer.from(text.endsWith('\n') ? text : `${text}\n`);
      written += chunk.length;
      if (!out.write(chunk)) await once(out, 'drain');
    }
    if (written === before) throw new Error('there is no text under node_modules: run npm ci');
  }
  out.end();
  await finished(out);
  renameSync(partial, file);
  return { file, bytes: written };
}
