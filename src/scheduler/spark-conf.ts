/** Configuration of an application; Spark's SparkConf. Values are checked when the context is created. */
export class SparkConf {
  readonly #pairs = new Map<string, string>();

  constructor(pairs: Readonly<Record<string, string | number | boolean>> = {}) {
    for (const [key, value] of Object.entries(pairs)) this.set(key, value);
  }

  set(key: string, value: string | number | boolean): this {
    this.#pairs.set(key, String(value));
    return this;
  }

  setIfMissing(key: string, value: string | number | boolean): this {
    return this.#pairs.has(key) ? this : this.set(key, value);
  }

  setMaster(master: string): this {
    return this.set('spark.master', master);
  }

  setAppName(name: string): this {
    return this.set('spark.app.name', name);
  }

  get(key: string, fallback?: string): string | undefined {
    return this.#pairs.get(key) ?? fallback;
  }

  contains(key: string): boolean {
    return this.#pairs.has(key);
  }

  remove(key: string): this {
    this.#pairs.delete(key);
    return this;
  }

  getAll(): [string, string][] {
    return [...this.#pairs];
  }
}
