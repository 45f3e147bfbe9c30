/** One kind of change to source on load: closure capture, weaving. Editors run in the order they were added. */
export interface SourceEditor {
  readonly name: string;
  /** Cheap test on URL and text before anything is parsed; must be false for almost all modules. */
  wants(module: SourceModule): boolean;
  /** True: the program it is given may have empty bodies of functions, where neither `class` nor a `#` is in them. @defaultValue false */
  readsOutline?(module: SourceModule): boolean;
  /** Makes its edits through `module.edit`, keeping lines; returns false when it changed nothing. */
  edit(module: ParsedModule): boolean;
  /** Told of a module that it wanted and that cannot be edited: too large, or not parsed. */
  unreadable?(module: SourceModule, why: string): void;
}

/** JavaScript as it would run: types are already stripped (positions kept), decorators already lowered. */
export interface SourceModule {
  readonly url: string;
  readonly format: 'module' | 'commonjs';
  readonly source: string;
}

export interface ParsedModule extends SourceModule {
  /** ESTree program from oxc-parser, `start`/`end` offsets in UTF-16 units of `source`. */
  readonly program: import('oxc-parser').Program;
  readonly edit: SourceEdits;
}

/** Edits by offsets of the source as it was; those of magic-string's methods that keep lines. What is left of an offset stays left of what is right of it. */
export interface SourceEdits {
  appendLeft(at: number, text: string): unknown;
  prependLeft(at: number, text: string): unknown;
  appendRight(at: number, text: string): unknown;
  prependRight(at: number, text: string): unknown;
  append(text: string): unknown;
  prepend(text: string): unknown;
  /** Replaces; what is put at either end stays. */
  update(from: number, to: number, text: string): unknown;
  clone(): SourceEdits;
  toString(): string;
}
