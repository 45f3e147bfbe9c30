import { unweaveRegistered } from './load-time.ts';
import { allSites, siteOf, switchAll, switchedOn, type Entry, type Site } from './site.ts';
import type { WeaveHandle } from './weave.ts';

/** The advice of one site, switched there only: what the same aspects do elsewhere goes on. */
class SiteHandle implements WeaveHandle {
  readonly #site: Site;
  readonly #entries: readonly Entry[];

  constructor(site: Site) {
    this.#site = site;
    this.#entries = site.entries;
  }

  get joinPoints(): readonly string[] {
    return this.#entries.length === 0 ? [] : [this.#site.signature.toString()];
  }

  get enabled(): boolean {
    return this.#entries.some((entry) => this.#site.entries.includes(entry) && this.#site.runs(entry));
  }

  enable(): void {
    this.#site.mute(this.#entries, false);
  }

  disable(): void {
    this.#site.mute(this.#entries, true);
  }

  unweave(): void {
    this.#site.remove(this.#entries);
  }

  [Symbol.dispose](): void {
    this.unweave();
  }
}

/**
 * The handle of all advice now on one woven function or class: what `@Intercept` and `weaveConstructor` put there, and what was woven
 * since, by whichever aspect; it switches that function or class only. Undefined for what is not woven.
 */
export function handleOf(woven: unknown): WeaveHandle | undefined {
  const site = siteOf(woven);
  return site === undefined ? undefined : new SiteHandle(site);
}

/**
 * The handle of all advice in this thread, of modules that are loaded later too: `disable()` lets none of it run (that of this package's own
 * aspects included) until `enable()`, whatever the handles of each piece say; `unweave()` takes it all out for good.
 */
export function handleOfAll(): WeaveHandle {
  const unweave = (): void => {
    unweaveRegistered();
    for (const site of allSites()) site.remove(site.entries);
  };
  return {
    get joinPoints() {
      return [
        ...new Set(
          allSites()
            .filter(({ entries }) => entries.length > 0)
            .map(({ signature }) => signature.toString()),
        ),
      ];
    },
    get enabled() {
      return switchedOn();
    },
    enable: () => switchAll(true),
    disable: () => switchAll(false),
    unweave,
    [Symbol.dispose]: unweave,
  };
}
