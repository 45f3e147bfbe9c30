/** An application that knows nothing of tracing. */
export class Stock {
  readonly #left = new Map([
    ['plum', 3],
    ['pear', 0],
  ]);

  async take(article: string): Promise<number> {
    const left = await this.#look(article);
    if (left === 0) throw new RangeError(`no ${article} left`);
    this.#left.set(article, left - 1);
    return left - 1;
  }

  async #look(article: string): Promise<number> {
    await Promise.resolve();
    return this.#left.get(article) ?? 0;
  }
}

/** Not exported. */
class Mailer {
  send(text: string): void {
    if (text === '') throw new TypeError('nothing to send');
  }
}

export class Orders {
  readonly #stock = new Stock();
  readonly #mailer = new Mailer();

  async submit(article: string): Promise<string> {
    const left = await this.#stock.take(article);
    this.#mailer.send(`one ${article}`);
    return `${left} ${article} left`;
  }
}
