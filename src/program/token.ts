import type { TokenValues, WorkflowToken } from './contract.ts';

/** What one node puts, over what nodes before it have put. Sent between threads as plain values. */
export class Token implements WorkflowToken {
  readonly node: string;
  readonly #values = new Map<string, { node: string; value: string }[]>();

  constructor(node: string, values: TokenValues = {}) {
    this.node = node;
    this.merge(values);
  }

  put(key: string, value: string | number | boolean): void {
    const all = this.#values.get(key) ?? [];
    this.#values.set(key, [...all.filter((one) => one.node !== this.node), { node: this.node, value: String(value) }]);
  }

  get(key: string, node?: string): string | undefined {
    return this.#values.get(key)?.findLast((one) => node === undefined || one.node === node)?.value;
  }

  getAll(key: string): readonly { readonly node: string; readonly value: string }[] {
    return this.#values.get(key) ?? [];
  }

  values(): TokenValues {
    return Object.fromEntries(this.#values);
  }

  /** Takes what another node has put; what is known stays where it is. */
  merge(values: TokenValues): void {
    for (const [key, entries] of Object.entries(values)) {
      const all = this.#values.get(key) ?? [];
      for (const { node, value } of entries) {
        const known = all.find((one) => one.node === node);
        if (known === undefined) all.push({ node, value });
        else known.value = value;
      }
      this.#values.set(key, all);
    }
  }
}
