/**
 * Transaction demarcation: what a method marked `@Transactional()` does to datasets is seen as a whole, or not at all.
 *   npx spark-proxy run examples/13-transactions/main.ts
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { annotated, annotation, Around, Aspect, weaveAspect, type ProceedingJoinPoint } from 'spark-proxy/aspects';
import { openDatasets, type DatasetContext, type Datasets } from 'spark-proxy/dataset';

const Transactional = annotation('Transactional');
const current = new AsyncLocalStorage<DatasetContext>();

@Aspect
class Transactions {
  readonly #datasets: Datasets;

  constructor(datasets: Datasets) {
    this.#datasets = datasets;
  }

  /** Called within a transaction, it joins that one. */
  @Around(annotated(Transactional))
  async demarcate(_jp: ProceedingJoinPoint, proceed: () => Promise<unknown>): Promise<unknown> {
    if (current.getStore() !== undefined) return await proceed();
    return await this.#datasets.execute((context) => current.run(context, proceed));
  }
}

class Bank {
  #accounts() {
    return current.getStore()!.keyValue<string, number>('Accounts');
  }

  @Transactional()
  async deposit(account: string, amount: number): Promise<void> {
    await this.#accounts().increment(account, amount);
  }

  @Transactional()
  async transfer(from: string, to: string, amount: number): Promise<void> {
    await this.deposit(to, amount);
    if ((await this.#accounts().increment(from, -amount)) < 0) throw new RangeError(`${from} has not that much`);
  }

  @Transactional()
  async balances(): Promise<string> {
    const all: string[] = [];
    for await (const [account, balance] of this.#accounts().scan()) all.push(`${account} ${balance}`);
    return all.join(', ');
  }
}

// Kept where dataset.store says: a file below .spark-proxy, unless configured otherwise.
const datasets = await openDatasets();
await datasets.admin.drop('Accounts').catch(() => undefined);
await datasets.admin.create('Accounts', 'keyValue');
weaveAspect(Bank, new Transactions(datasets));
const bank = new Bank();
await bank.deposit('ada', 10);
await bank.transfer('ada', 'bob', 4);
console.log(await bank.balances());
await bank.transfer('ada', 'bob', 7).catch((error: Error) => console.log(error.message));
console.log(await bank.balances());
await datasets.close();
