/** One kind of change to source on load: closure capture, weaving. Editors run in the order they were added. */
export interface SourceEditor {
  readonly name: string;
  /** Cheap test on URL and text before anything is parsed; must be false for almost all modules. */
  wants(module: SourceModule): boolean;
  /** True: the program it is given may have empty bodies of functions, where neither `class` nor a `#` is in them. @defaultValue false */
  readsOutline?(module: SourceModule): boolean;
  /** True: what its edits need is a class at the top level, as far as `declarations` tells of them, and nothing else in the module. @defaultValue false */
  readsDeclarations?(module: SourceModule, declarations: Declarations): boolean;
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

/** What is declared at the top level of a module, as far as that is seen without a parser. */
export interface Declarations {
  /**
   * The classes that are declared, as a parser gives them, but with nothing inside of their members; private members, computed names, blocks and
   * classes in them are not among them. Behind them an empty statement where the text ends.
   */
  readonly program: ParsedModule['program'];
  /** Whatever else is there has one of these names, or none, or is a default export. */
  readonly names: ReadonlySet<string>;
}

export interface ParsedModule extends SourceModule {
  /** ESTree program from oxc-parser, `start`/`end` offsets in UTF-16 units of `source`. */
  readonly program: import('oxc-parser').Program;
  /** Whether the program is that of {@link Declarations} only. */
  readonly declared?: boolean;
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
