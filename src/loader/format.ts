import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { nodeRequire } from '../core/require.ts';

export type ModuleFormat = 'module' | 'commonjs';

type Parser = Pick<typeof import('oxc-parser'), 'parseSync'>;
let oxc: Parser | undefined;

/** oxc-parser, loaded when first needed: a program whose modules nobody edits never pays for it. */
export function parser(): Parser {
  return (oxc ??= nativeParser() ?? (nodeRequire('oxc-parser') as Parser));
}

/**
 * oxc-parser without what it loads beside its native part, which takes most of the time of its start. Undefined where that part is not the
 * usual one of the platform (musl, WebAssembly, one that the environment names): finding it is oxc-parser's own business.
 */
function nativeParser(): Parser | undefined {
  if (process.env['NAPI_RS_NATIVE_LIBRARY_PATH'] !== undefined) return undefined;
  const abi: Readonly<Record<string, string>> = { linux: '-gnu', win32: '-msvc' };
  try {
    const near = createRequire(nodeRequire.resolve('oxc-parser'));
    const { parseSync } = near(`@oxc-parser/binding-${process.platform}-${process.arch}${abi[process.platform] ?? ''}`) as Parser;
    const { wrap } = near('oxc-parser/src-js/wrap') as { wrap: (parsed: ReturnType<Parser['parseSync']>) => ReturnType<Parser['parseSync']> };
    return { parseSync: (...given) => wrap(parseSync(...given)) };
  } catch {
    return undefined;
  }
}

const typeByFolder = new Map<string, ModuleFormat | undefined>();

/** `type` of the nearest package.json, by Node's rule: the nearest one decides, and node_modules ends the search. */
export function packageType(folder: string): ModuleFormat | undefined {
  if (typeByFolder.has(folder)) return typeByFolder.get(folder);
  let type: ModuleFormat | undefined;
  const parent = dirname(folder);
  try {
    const parsed = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { type?: unknown };
    if (parsed.type === 'module' || parsed.type === 'commonjs') type = parsed.type;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code !== undefined;
    if (missing && parent !== folder && basename(parent) !== 'node_modules') type = packageType(parent);
  }
  typeByFolder.set(folder, type);
  return type;
}

/** Format of JavaScript whose extension and package do not say it: ESM syntax or a top-level await decide, as in Node. */
export function detectFormat(source: string): ModuleFormat {
  const { parseSync } = parser();
  const asModule = parseSync('m.js', source, { sourceType: 'module', lang: 'js' });
  if (asModule.module.hasModuleSyntax) return 'module';
  if (!/\bawait\b/.test(source) || asModule.errors.length > 0) return 'commonjs';
  return parseSync('m.js', source, { sourceType: 'commonjs', lang: 'js' }).errors.length > 0 ? 'module' : 'commonjs';
}
