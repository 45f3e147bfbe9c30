import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { createLogger } from '../core/logger.ts';
import { LoaderErrors } from './errors.ts';

/** What of `compilerOptions` changes the JavaScript of a single file. */
const KEPT = [
  'target',
  'experimentalDecorators',
  'emitDecoratorMetadata',
  'useDefineForClassFields',
  'verbatimModuleSyntax',
  'jsx',
  'jsxFactory',
  'jsxFragmentFactory',
  'jsxImportSource',
] as const;

export type CompilerOptions = Partial<Record<(typeof KEPT)[number], string | boolean>>;

const MAX_EXTENDS = 16;
const byFolder = new Map<string, CompilerOptions>();
const logger = createLogger('loader');

/** Options of the nearest tsconfig.json at or above `folder` (`extends` followed), cached for the life of the process. */
export function compilerOptionsFor(folder: string): CompilerOptions {
  const cached = byFolder.get(folder);
  if (cached !== undefined) return cached;
  const path = join(folder, 'tsconfig.json');
  const text = readIfThere(path);
  const parent = dirname(folder);
  const options = text !== undefined ? readOptions(path, text, 0) : parent === folder ? {} : compilerOptionsFor(parent);
  byFolder.set(folder, options);
  return options;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readOptions(path: string, text: string, depth: number): CompilerOptions {
  let config: { extends?: unknown; compilerOptions?: Record<string, unknown> };
  try {
    config = JSON.parse(jsoncToJson(text)) as typeof config;
  } catch (error) {
    logger.warn(LoaderErrors.TSCONFIG({ path, reason: (error as Error).message }, error).message);
    return {};
  }
  const options: CompilerOptions = {};
  const bases = Array.isArray(config.extends) ? config.extends : [config.extends];
  for (const base of bases) {
    if (typeof base !== 'string' || depth >= MAX_EXTENDS) continue;
    const found = resolveBase(path, base);
    if (found !== undefined) Object.assign(options, readOptions(found.path, found.text, depth + 1));
  }
  const own = config.compilerOptions;
  for (const key of KEPT) {
    const value = own?.[key];
    if (typeof value === 'string' || typeof value === 'boolean') options[key] = value;
  }
  return options;
}

/** As tsc: a relative or absolute path with or without `.json`, or a package's file (its `tsconfig.json` when it names the package only). */
function resolveBase(from: string, base: string): { path: string; text: string } | undefined {
  const candidates: string[] = [];
  if (base.startsWith('.') || isAbsolute(base)) {
    const path = resolve(dirname(from), base);
    candidates.push(path, `${path}.json`, join(path, 'tsconfig.json'));
  } else {
    const require = createRequire(from);
    for (const id of [base, `${base}.json`, `${base}/tsconfig.json`]) {
      try {
        candidates.push(require.resolve(id));
      } catch {
        // not this spelling
      }
    }
  }
  for (const path of candidates) {
    const text = path.endsWith('.json') ? readIfThere(path) : undefined;
    if (text !== undefined) return { path, text };
  }
  logger.warn(LoaderErrors.TSCONFIG({ path: base, reason: `not found from ${from}` }).message);
  return undefined;
}

/** Drops comments and trailing commas, leaving strings as they are. */
export function jsoncToJson(text: string): string {
  const bare = text.replace(/^\uFEFF/, '').replace(/"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) => (part.startsWith('"') ? part : ' '));
  return bare.replace(/"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])/g, (part) => (part === ',' ? '' : part));
}
