import type { Random } from '../../src/core/ids.ts';
import { ORDER_NAMES } from '../../src/dispatcher/orders.ts';
import type { ApplicationProfile } from '../../src/protocol/application.ts';
import { SELECTOR_NAMES } from '../../src/selectors/index.ts';

/** What one world is like. Drawn in this order from the seed. */
export function drawKnobs(random: Random) {
  const rate = (most: number): number => (random() < 0.3 ? 0 : random() * most);
  const chance = (probability: number): boolean => random() < probability;
  const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  return {
    workers: 1 + Math.floor(random() * 5),
    tasks: 20 + Math.floor(random() * 60),
    selector: oneOf(SELECTOR_NAMES),
    order: oneOf(ORDER_NAMES),
    maxLeases: 2 + Math.floor(random() * 4),
    leaseMs: 150 + Math.floor(random() * 400),
    // The register center may notice before the lease ends, or after.
    ttlMs: 120 + Math.floor(random() * 800),
    delayMs: 1 + random() * 30,
    drop: rate(0.15),
    repeat: rate(0.2),
    slow: rate(0.05),
    crash: rate(0.03),
    pause: rate(0.03),
    drain: rate(0.02),
    cancel: rate(0.15),
    /** Slots and backoff of the second application's policies. */
    backoffMs: chance(0.5) ? 0 : random() * 200,
    speculates: chance(0.4),
    verifies: chance(0.3),
    /** The workers of place 0 lie, always. */
    lies: chance(0.5),
    holdsPoison: chance(0.3),
    places: chance(0.3),
    excludes: chance(0.5),
    /** Leaders that crash, or are only cut off and go on as if they led. */
    takeovers: chance(0.4) ? 1 + Math.floor(random() * 3) : 0,
    zombies: chance(0.5),
    clockJumps: rate(0.01),
    drains: rate(0.01),
    endsApplication: chance(0.1),
    /** Tasks run 30 ms or so: ten of them to a slot at a time, or never more than its depth. */
    queueMs: chance(0.6) ? 300 : 0,
  };
}

export type Knobs = ReturnType<typeof drawKnobs>;

/** The two applications of a world: the first with every policy that is on, the second with its own share and place. */
export function profilesOf(knobs: Knobs): readonly ApplicationProfile[] {
  return [
    {
      application: 'app-1',
      weight: 2,
      retryBackoffMs: knobs.backoffMs,
      retryBackoffMaxMs: 400,
      poison: knobs.holdsPoison ? 'hold' : 'fail',
      ...(knobs.speculates ? { speculation: { quantile: 0.2, multiplier: 1.5, minTaskRuntimeMs: 40 } } : {}),
      ...(knobs.verifies ? { verify: { quorum: 2, patienceMs: 3000, trustAfter: 3 } } : {}),
    },
    { application: 'app-2', minShare: 1, priority: 5, ...(knobs.places ? { placement: { requiredLabels: { zone: 'b' } } } : {}) },
  ];
}
