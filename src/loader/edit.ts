import { createLogger } from '../core/logger.ts';
import { LoaderErrors } from './errors.ts';
import type { ParsedModule, SourceEditor, SourceEdits, SourceModule } from './contract.ts';
import { declarations } from './declarations.ts';
import { Edits } from './edits.ts';
import { parser } from './format.ts';
import { outline } from './outline.ts';

const logger = createLogger('loader');

/** Ends a source that was edited, so that two copies of this package in one process do not edit it twice. */
const EDITED = '\n//# spark-proxy=edited';
/** Larger files are bundles or data: parsing them at start-up would be felt, and is not what anybody asks for. */
const MAX_SOURCE = 2 * 1024 * 1024;

/** Runs the editors that want the module; undefined when it stays as it is. Never throws: a failing editor is logged and leaves no trace. */
export function applyEditors(editors: readonly SourceEditor[], module: SourceModule): string | undefined {
  const edits = editModule(editors, module, (source) => new Edits(source));
  if (edits === undefined) return undefined;
  try {
    return edits.toString() + EDITED;
  } catch (error) {
    logger.warn(LoaderErrors.EDIT({ editor: 'all', url: module.url }, error).message);
    return undefined;
  }
}

/** As `applyEditors`, for tools that want a source map too: `make` gives a MagicString. */
export function editModule<E extends Omit<SourceEdits, 'clone'> & { clone(): E }>(
  editors: readonly SourceEditor[],
  module: SourceModule,
  make: (source: string) => E,
): E | undefined {
  if (module.source.endsWith(EDITED)) return undefined;
  let some: SourceEditor[] | undefined;
  for (const editor of editors) if (wants(editor, module)) (some ??= []).push(editor);
  if (some === undefined) return undefined;
  const wanting = some;
  const unreadable = (why: string): void => {
    for (const editor of wanting) editor.unreadable?.(module, why);
  };
  if (module.source.length > MAX_SOURCE) {
    unreadable(`it has more than ${MAX_SOURCE} characters`);
    return undefined;
  }
  let parsed: Omit<ParsedModule, 'edit'> | undefined;
  try {
    parsed = declared(some, module) ?? parse(module, wanting.every((editor) => editor.readsOutline?.(module) === true) ? outline(module.source) : undefined);
  } catch (error) {
    logger.warn(LoaderErrors.EDIT({ editor: 'parser', url: module.url }, error).message);
  }
  if (parsed === undefined) {
    unreadable('it has a syntax error');
    return undefined;
  }
  let edits = make(module.source);
  let changed = false;
  for (const editor of wanting) {
    // A failing editor must leave no trace for others.
    const draft = wanting.length === 1 ? edits : edits.clone();
    if (guarded(editor, module, () => editor.edit({ ...parsed, edit: draft }))) {
      edits = draft;
      changed = true;
    }
  }
  return changed ? edits : undefined;
}

/** Asked of each module that is loaded. */
function wants(editor: SourceEditor, module: SourceModule): boolean {
  try {
    return editor.wants(module);
  } catch (error) {
    return failed(editor, module, error);
  }
}

function guarded(editor: SourceEditor, module: SourceModule, run: () => boolean): boolean {
  try {
    return run();
  } catch (error) {
    return failed(editor, module, error);
  }
}

function failed(editor: SourceEditor, module: SourceModule, error: unknown): false {
  const coded = LoaderErrors.EDIT({ editor: editor.name, url: module.url }, error);
  logger.warn(coded.message, { cause: error instanceof Error ? (error.stack ?? error.message) : error });
  return false;
}

/** Without a parser, where all that is wanted can be seen so. */
function declared(wanting: readonly SourceEditor[], module: SourceModule): Omit<ParsedModule, 'edit'> | undefined {
  for (const editor of wanting) if (editor.readsDeclarations === undefined) return undefined;
  const found = declarations(module.source);
  if (found === undefined) return undefined;
  for (const editor of wanting) if (!editor.readsDeclarations!(module, found)) return undefined;
  const { url, format, source } = module;
  return { url, format, source, program: found.program, declared: true };
}

/** `brief`: its outline, where that is enough. */
function parse(module: SourceModule, brief: string | undefined): Omit<ParsedModule, 'edit'> | undefined {
  const result = parser().parseSync('module.js', brief ?? module.source, {
    sourceType: module.format === 'module' ? 'module' : 'commonjs',
    lang: 'js',
    preserveParens: false,
  });
  if (result.errors.length > 0) {
    // Node tells the author of a syntax error better than we could.
    return brief === undefined ? undefined : parse(module, undefined);
  }
  return { ...module, program: result.program };
}
