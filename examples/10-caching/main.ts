/**
 * Caching, said in one line where it is wanted: `@Cached(ttl)` marks methods, one aspect does it for all of them.
 *   npx spark-proxy run examples/10-caching/main.ts
 */
import { annotated, annotation, Around, Aspect, weaveAspect, type ProceedingJoinPoint } from 'spark-proxy/aspects';

const Cached = annotation<[ttlMs: number]>('Cached');

@Aspect
class Caching {
  /** By object, then by method and arguments; an object that is gone takes its results along. */
  readonly #results = new WeakMap<object, Map<string, { readonly value: unknown; readonly until: number }>>();

  @Around(annotated(Cached))
  lookUp(jp: ProceedingJoinPoint<object, unknown[]>, proceed: () => unknown): unknown {
    const of = this.#results.get(jp.target) ?? new Map<string, { value: unknown; until: number }>();
    this.#results.set(jp.target, of);
    const key = JSON.stringify([String(jp.name), ...jp.args]);
    const known = of.get(key);
    if (known !== undefined && known.until > performance.now()) return known.value;
    // A promise is kept as it is, so that calls at the same time share one request; a failure is forgotten.
    const value = proceed();
    of.set(key, { value, until: performance.now() + ttlOf(jp) });
    if (value instanceof Promise) value.catch(() => of.delete(key));
    return value;
  }
}

const ttlOf = ({ target, name }: ProceedingJoinPoint<object>): number => Cached.of((target as Record<string | symbol, object>)[name]!) ?? 0;

class Catalog {
  requests = 0;

  @Cached(60_000)
  async price(article: string): Promise<number> {
    this.requests++;
    if (article === '') throw new Error('no article');
    return article.length * 100;
  }
}

const handle = weaveAspect(Catalog, new Caching());
const catalog = new Catalog();
const prices = await Promise.all(['plum', 'apple', 'plum', 'plum'].map((article) => catalog.price(article)));
console.log(`${prices.join()} with ${catalog.requests} requests`);
await catalog
  .price('')
  .catch(() => catalog.price(''))
  .catch((error: Error) => console.log(`${error.message}: asked again, ${catalog.requests} requests`));
handle.disable();
await catalog.price('plum');
console.log(`switched off: ${catalog.requests} requests`);
