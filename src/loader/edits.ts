import type { SourceEdits } from './contract.ts';

/**
 * Edits of a source that is about to run: what magic-string does, without what source maps need. Tools that build use magic-string itself.
 */
export class Edits implements SourceEdits {
  readonly #source: string;
  /** What is put at an offset, on either side of it. */
  readonly #left: Map<number, string>;
  readonly #right: Map<number, string>;
  /** What stands for the source from an offset on. */
  readonly #updates: Map<number, { readonly to: number; readonly text: string }>;

  constructor(source: string, from?: Edits) {
    this.#source = source;
    this.#left = new Map(from === undefined ? undefined : from.#left);
    this.#right = new Map(from === undefined ? undefined : from.#right);
    this.#updates = new Map(from === undefined ? undefined : from.#updates);
  }

  appendLeft(at: number, text: string): this {
    return this.#insert(this.#left, at, (before) => before + text);
  }

  prependLeft(at: number, text: string): this {
    return this.#insert(this.#left, at, (before) => text + before);
  }

  appendRight(at: number, text: string): this {
    return this.#insert(this.#right, at, (before) => before + text);
  }

  prependRight(at: number, text: string): this {
    return this.#insert(this.#right, at, (before) => text + before);
  }

  append(text: string): this {
    return this.appendRight(this.#source.length, text);
  }

  prepend(text: string): this {
    return this.prependLeft(0, text);
  }

  update(from: number, to: number, text: string): this {
    if (to <= from) throw new RangeError(`nothing to update from ${from} to ${to}`);
    this.#check(from);
    this.#check(to);
    this.#updates.set(from, { to, text });
    return this;
  }

  clone(): this {
    return new Edits(this.#source, this) as this;
  }

  #insert(side: Map<number, string>, at: number, text: (before: string) => string): this {
    this.#check(at);
    side.set(at, text(side.get(at) ?? ''));
    return this;
  }

  #check(at: number): void {
    if (!Number.isInteger(at) || at < 0 || at > this.#source.length) throw new RangeError(`there is no offset ${at}`);
  }

  /** @throws RangeError where one edit is inside of another */
  toString(): string {
    const offsets = new Set([...this.#left.keys(), ...this.#right.keys(), ...this.#updates.keys()]);
    let out = '';
    let done = 0;
    for (const at of [...offsets].sort((a, b) => a - b)) {
      if (at < done) throw new RangeError(`an edit at ${at} is inside of another`);
      out += this.#source.slice(done, at) + (this.#left.get(at) ?? '') + (this.#right.get(at) ?? '');
      done = at;
      const update = this.#updates.get(at);
      if (update === undefined) continue;
      out += update.text;
      done = update.to;
    }
    return out + this.#source.slice(done);
  }
}
