import module from 'node:module';
import { dirname } from 'node:path';
import { nodeRequire } from '../core/require.ts';
import { LoaderErrors } from './errors.ts';
import { addDesignMetadata } from './decorator-metadata.ts';
import { parser } from './format.ts';
import { compilerOptionsFor } from './tsconfig.ts';

/** JavaScript made from TypeScript. `lowered`: esbuild wrote it, so lines differ and a source map is inside. */
export interface Stripped {
  readonly source: string;
  readonly lowered: boolean;
}

/**
 * TypeScript to JavaScript. Types are replaced by blanks, so every line and column stays; only files with decorators,
 * JSX or syntax that has no erasure (enum, namespace with code, parameter properties) go through esbuild.
 * @throws the stripper's own error on a syntax error, SP_LOADER_LOWER when esbuild refuses
 */
export function stripTypes(path: string, source: string): Stripped {
  if (/\.[jt]sx$/.test(path) || hasDecorators(path, source)) return lower(path, source);
  try {
    return { source: stripInPlace(source), lowered: false };
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return lower(path, source);
    // A syntax error: once more, with the file's name in the message.
    return { source: module.stripTypeScriptTypes(source, { sourceUrl: path }), lowered: false };
  }
}

let warned = false;

/** Node's stripper, without the notice it prints once that the function (not the syntax) is experimental. */
function stripInPlace(source: string): string {
  if (warned) return module.stripTypeScriptTypes(source);
  warned = true;
  const emitWarning = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: never[]) => {
    if (!String(warning).includes('stripTypeScriptTypes')) emitWarning.call(process, warning, ...rest);
  }) as typeof process.emitWarning;
  try {
    return module.stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Exact, yet parses only when an `@` that looks like a decorator stands outside comments. */
function hasDecorators(path: string, source: string): boolean {
  const sign = /@\s*[\p{ID_Start}$_(\\]/u;
  if (!sign.test(source)) return false;
  const parsed = parser().parseSync(path, source);
  let bare = source;
  for (const { start, end } of parsed.comments) bare = bare.slice(0, start) + ' '.repeat(end - start) + bare.slice(end);
  return sign.test(bare) && findDecorator(parsed.program);
}

function findDecorator(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(findDecorator);
  if (typeof node !== 'object' || node === null) return false;
  const { decorators } = node as { decorators?: unknown };
  if (Array.isArray(decorators) && decorators.length > 0) return true;
  return Object.values(node).some((value) => typeof value === 'object' && findDecorator(value));
}

function lower(path: string, source: string): Stripped {
  const esbuild = nodeRequire('esbuild') as typeof import('esbuild');
  const options = compilerOptionsFor(dirname(path));
  const { emitDecoratorMetadata, jsx, ...kept } = options;
  const metadata = emitDecoratorMetadata === true && kept.experimentalDecorators === true;
  const extension = /\.([cm]?[jt]sx?)$/.exec(path)?.[1] ?? 'ts';
  try {
    const { code } = esbuild.transformSync(metadata ? addDesignMetadata(path, source) : source, {
      loader: extension === 'tsx' || extension === 'jsx' ? extension : 'ts',
      target: `node${process.versions.node}`,
      sourcemap: 'inline',
      sourcefile: path,
      sourcesContent: false,
      logLevel: 'silent',
      tsconfigRaw: { compilerOptions: { ...kept, ...(jsx === undefined || jsx === 'preserve' ? {} : { jsx }) } as never },
    });
    // Stack traces of this file need its map; other code is not slowed (node_modules stay out).
    module.setSourceMapsSupport?.(true, { nodeModules: false, generatedCode: false });
    return { source: seesItself(code), lowered: true };
  } catch (error) {
    throw LoaderErrors.LOWER({ url: path, reason: (error as Error).message }, error);
  }
}

/**
 * esbuild lets a class body see the class as it was before its decorators (evanw/esbuild#3968): without its own name it sees
 * the binding, which a first static block sets, so that static fields see it too.
 */
function seesItself(code: string): string {
  return code.replace(/^let (_\w+) = class \1\b(?:(| extends \(.*\)) \{$)?/gm, (_, name: string, heritage: string | undefined) =>
    // Else a function in what it extends has its body on the lines that follow.
    heritage !== undefined && heritage.split('(').length === heritage.split(')').length
      ? `var ${name} = class${heritage} { static { ${name} = this; }`
      : `let ${name} = class${heritage === undefined ? '' : `${heritage} {`}`,
  );
}
