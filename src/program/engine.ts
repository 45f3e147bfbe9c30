import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { version } from '../core/version.ts';
import { PROGRAM_ERRORS } from './errors.ts';

/** The copy of this package that runs a program. */
export interface Engine {
  readonly version: string;
  readonly register: string;
  readonly thread: string;
}

const SUFFIX = extname(import.meta.url);
const OWN: Engine = {
  version,
  register: new URL(`../register${SUFFIX}`, import.meta.url).href,
  thread: new URL(`./thread-main${SUFFIX}`, import.meta.url).href,
};

interface Manifest {
  readonly version: string;
  readonly exports?: Readonly<Record<string, string | { readonly default?: string }>>;
}

/**
 * The engine that the program's own imports resolve to, so that programs of several versions run side by side; this one
 * where it resolves to none.
 * @throws SP_PROGRAM_BAD_ENGINE when that one knows no programs
 */
export function engineOf(file: string): Engine {
  let manifestPath: string;
  try {
    manifestPath = createRequire(pathToFileURL(file)).resolve('spark-proxy/package.json');
  } catch {
    return OWN;
  }
  const root = dirname(manifestPath);
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as Manifest;
  const entry = (name: string): string => {
    const value = manifest.exports?.[name];
    const path = typeof value === 'string' ? value : value?.default;
    const absolute = path === undefined ? undefined : join(root, path);
    if (absolute !== undefined && existsSync(absolute)) return pathToFileURL(absolute).href;
    const reason = absolute === undefined ? `it has no ${name}` : `${absolute} is missing`;
    throw PROGRAM_ERRORS.BAD_ENGINE({ file, engine: `${root}, version ${manifest.version}`, reason });
  };
  return { version: manifest.version, register: entry('./register'), thread: entry('./program/thread') };
}

/** `path` or `path#Name`, the path absolute. @throws SP_PROGRAM_NO_SUCH_FILE */
export function parseProgram(program: string): { readonly file: string; readonly wanted: string | undefined } {
  const given = program.startsWith('file:') ? fileURLToPath(program) : program;
  const at = given.lastIndexOf('#');
  const split = at > 0 && !existsSync(given);
  const path = split ? given.slice(0, at) : given;
  if (!existsSync(path)) throw PROGRAM_ERRORS.NO_SUCH_FILE({ file: path });
  return { file: resolve(path), wanted: split ? given.slice(at + 1) : undefined };
}
