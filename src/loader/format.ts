import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { nodeRequire } from '../core/require.ts';

export type ModuleFormat = 'module' | 'commonjs';

let oxc: typeof import('oxc-parser') | undefined;

/** oxc-parser, loaded when first needed: a program whose modules nobody edits never pays for it. */
export function parser(): typeof import('oxc-parser') {
  return (oxc ??= nodeRequire('oxc-parser') as typeof import('oxc-parser'));
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
