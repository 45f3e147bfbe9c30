import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import MagicString from 'magic-string';
import { createEditor } from '../aspects/load-time-editor.ts';
import { exportedBindings, type ModuleChoice } from '../aspects/register.ts';
import { Report } from '../aspects/report.ts';
import type { Binding } from '../aspects/weave.ts';
import type { SourceEditor } from '../loader/contract.ts';
import { editModule } from '../loader/edit.ts';
import { detectFormat } from '../loader/format.ts';
import { installHook } from '../loader/hook.ts';
import { stripTypes } from '../loader/typescript.ts';
import { builtUrl } from './built-url.ts';
import { PLUGIN_ERRORS } from './errors.ts';
import { takeInlineMap, withMap, type Edited } from './source-map.ts';

export interface WeaveBuildOptions extends ModuleChoice {
  /** Modules that export the aspects; they are loaded when you build, and go into what is built. Relative to `root`. */
  readonly aspects: readonly (string | URL)[];
  /** Paths of modules are relative to it, in pointcuts too. @defaultValue Vite's root, else the working directory */
  readonly root?: string | undefined;
  /** A pointcut that matches nothing fails the build (true), or is warned of. @defaultValue false */
  readonly strict?: boolean;
}

/** File name of a module that is not on disk. */
const NAME = 'spark-proxy-built-aspects.mjs';
const TYPESCRIPT = /\.(?:[cm]?ts|tsx|jsx)$/;
const PROLOGUE = /^(?:#![^\n]*\n)?(?:\s+|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/|(['"])use [\w ]+\1;?)*/;

/** One build: its aspects, its editor, and what came of them. */
export class WeaveBuild {
  readonly #options: WeaveBuildOptions;
  readonly #report = new Report();
  readonly #editor: SourceEditor;
  readonly #warnings: string[] = [];
  #root: string;
  #bindings: readonly Binding[] = [];
  #files: readonly string[] = [];

  /** @throws SP_PLUGIN_NO_ASPECTS */
  constructor(options: WeaveBuildOptions) {
    if (!Array.isArray(options.aspects) || options.aspects.length === 0) throw PLUGIN_ERRORS.NO_ASPECTS();
    this.#options = options;
    this.#root = resolve(options.root ?? process.cwd());
    this.#editor = createEditor({
      bindings: () => this.#bindings.map(({ pointcut }) => ({ pointcut, label: String(pointcut) })),
      report: this.#report,
      unreadable: ({ url }, why) => this.#warnings.push(PLUGIN_ERRORS.NOT_WOVEN({ module: url, why }).message),
    });
  }

  /** The bundler's root, where the options name none. */
  setRoot(root: string): void {
    if (this.#options.root === undefined) this.#root = resolve(root);
  }

  /** Id of the module that registers the aspects in the program. */
  get id(): string {
    return resolve(this.#root, NAME);
  }

  get files(): readonly string[] {
    return this.#files;
  }

  /** Loads the aspects, again when they have changed. @throws SP_PLUGIN_ASPECTS_FAILED */
  async start(): Promise<void> {
    // They may be TypeScript with decorators.
    installHook();
    this.#report.clear();
    this.#warnings.length = 0;
    this.#files = this.#options.aspects.map((aspect) =>
      aspect instanceof URL || aspect.startsWith('file:') ? fileURLToPath(aspect) : resolve(this.#root, aspect),
    );
    const modules: Record<string, object> = {};
    for (const file of this.#files) {
      try {
        const url = `${pathToFileURL(file).href}?built=${statSync(file).mtimeMs}`;
        modules[file] = (await import(url)) as object;
      } catch (cause) {
        throw PLUGIN_ERRORS.ASPECTS_FAILED({ file, why: (cause as Error).message }, cause);
      }
    }
    this.#bindings = exportedBindings(modules, this.#options);
  }

  /** Text of that module. It runs before every woven module, as each imports it. */
  registration(): string {
    const imports = this.#files.map((file, i) => `import * as aspects${i} from ${JSON.stringify(file)};`);
    const modules = this.#files.map((file, i) => `${JSON.stringify(builtUrl(file, this.#root))}: aspects${i}`);
    const { include, exclude } = this.#options;
    return [
      `import { registerBuilt } from 'spark-proxy/aspects';`,
      ...imports,
      `registerBuilt({ ${modules.join(', ')} }, ${JSON.stringify({ include, exclude })});`,
    ].join('\n');
  }

  /** Weaves one module; undefined when it stays as it is. `compile`: it may be TypeScript. */
  transform(code: string, path: string, compile: boolean): Edited | undefined {
    if (path === this.id || this.#files.includes(path)) return undefined;
    const url = builtUrl(path, this.#root);
    if (!this.#editor.wants({ url, source: code, format: 'module' })) return undefined;
    const { source, map } = compile && TYPESCRIPT.test(path) ? takeInlineMap(stripTypes(path, code).source) : { source: code, map: undefined };
    const format = detectFormat(source);
    const edits = editModule([this.#editor], { url, source, format }, (text) => new MagicString(text));
    if (edits === undefined) return undefined;
    const name = JSON.stringify(this.id);
    // Imports come before the body wherever they stand.
    if (format === 'module') edits.append(`\n;import ${name};\n`);
    else edits.appendRight(PROLOGUE.exec(source)![0].length, `require(${name});`);
    return withMap(edits, path, code, map);
  }

  /** What the build should tell. @throws SP_PLUGIN_NO_MATCH when strict */
  end(): readonly string[] {
    const missed = this.#bindings.filter(({ pointcut, implied }) => implied !== true && !this.#report.hit(String(pointcut)));
    const errors = [...new Set(missed.map(({ pointcut }) => String(pointcut)))].map((pointcut) => PLUGIN_ERRORS.NO_MATCH({ pointcut, root: this.#root }));
    if (this.#options.strict === true && errors[0] !== undefined) throw errors[0];
    return [...this.#warnings.splice(0), ...errors.map(({ message }) => message)];
  }
}
