import { expect, test } from 'vitest';
import { seededRandom } from '../../src/core/ids.ts';
import { CONFIG_KEYS } from '../../src/core/config-schema.ts';
import {
  createSelector,
  leastLoadedSelector,
  powerOfTwoSelector,
  preferLocations,
  pullSelector,
  randomSelector,
  roundRobinSelector,
  SELECTOR_NAMES,
} from '../../src/selectors/index.ts';
import type { ClusterView, Host } from '../../src/selectors/contract.ts';
import { task } from '../dispatcher/fixtures.ts';

const host = (id: string, outstanding = 0, slots = 4): Host => ({ id, host: `host-of-${id}`, labels: {}, slots, outstanding, credit: 2 * slots - outstanding });
const view = (hosts: readonly Host[]): ClusterView => ({ hosts, version: 1, application: 'app-1', now: 0, stage: () => undefined });

test('RANDOM gives every host with credit about the same share', () => {
  const hosts = ['a', 'b', 'c', 'd'].map((id) => host(id));
  const selector = randomSelector(seededRandom(7));
  const counts = new Map<string, number>();
  for (let i = 0; i < 4000; i++) {
    const { id } = selector.select(task(i), hosts, view(hosts)) as Host;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  // Four standard deviations of a binomial (4000, 1/4) are 110.
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(110);
  expect(counts.size).toBe(4);
});

test('RANDOM follows the injected source of randomness', () => {
  const hosts = ['a', 'b', 'c', 'd'].map((id) => host(id));
  const draws = [0, 0.26, 0.5, 0.999];
  const selector = randomSelector(() => draws.shift() as number);
  expect([1, 2, 3, 4].map((id) => selector.select(task(id), hosts, view(hosts))?.id)).toEqual(['a', 'b', 'c', 'd']);
});

test('ROUND_ROBIN takes turns in id order whatever the order of the list', () => {
  const hosts = [host('c'), host('a'), host('b')];
  const selector = roundRobinSelector();
  const picks = [1, 2, 3, 4, 5].map((id) => selector.select(task(id), id % 2 === 0 ? [...hosts].reverse() : hosts, view(hosts))?.id);
  expect(picks).toEqual(['a', 'b', 'c', 'a', 'b']);
});

test('ROUND_ROBIN passes over hosts that are not offered and goes on from there', () => {
  const [a, b, c] = [host('a'), host('b'), host('c')];
  const selector = roundRobinSelector();
  const pick = (...hosts: Host[]): string | undefined => selector.select(task(1), hosts, view([a, b, c]))?.id;
  expect([pick(a, b, c), pick(a, c), pick(b, c), pick(a, b, c), pick(b), pick(b)]).toEqual(['a', 'c', 'b', 'c', 'b', 'b']);
});

test('LEAST_LOADED looks at the share of slots that is taken, not at the number of tasks', () => {
  const hosts = [host('small', 1, 2), host('large', 4, 16)];
  expect(leastLoadedSelector(() => 0).select(task(1), hosts, view(hosts))?.id).toBe('large');
});

test('LEAST_LOADED draws lots among equals', () => {
  const hosts = ['a', 'b', 'c'].map((id) => host(id));
  const selector = leastLoadedSelector(seededRandom(3));
  const counts: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (let i = 0; i < 3000; i++) {
    const { id } = selector.select(task(i), hosts, view(hosts)) as Host;
    counts[id] = (counts[id] as number) + 1;
  }
  for (const count of Object.values(counts)) expect(Math.abs(count - 1000)).toBeLessThan(110);
});

test('a preferred location with credit is chosen, and the inner selector decides among several', () => {
  const hosts = [host('a', 3), host('b', 1), host('c', 0), host('d', 2)];
  const selector = preferLocations(leastLoadedSelector(() => 0.99));
  expect(selector.select(task(1, { preferredLocations: ['a'] }), hosts, view(hosts))?.id).toBe('a');
  expect(selector.select(task(1, { preferredLocations: ['a', 'd'] }), hosts, view(hosts))?.id).toBe('d');
});

test('a task does not wait for a preferred location without credit', () => {
  const hosts = [host('a'), host('b')];
  const selector = preferLocations(leastLoadedSelector(() => 0.99));
  expect(selector.select(task(1, { preferredLocations: ['gone'] }), hosts, view(hosts))?.id).toBe('a');
});

test('selectors are made by name, and each reports its name', () => {
  expect(SELECTOR_NAMES).toEqual(['RANDOM', 'ROUND_ROBIN', 'LEAST_LOADED', 'POWER_OF_TWO', 'PULL', 'CONSISTENT_HASH', 'LOCALITY']);
  for (const name of SELECTOR_NAMES) expect(createSelector(name).name).toBe(name === 'LOCALITY' ? 'LOCALITY:RANDOM' : name);
  expect(createSelector().name).toBe('RANDOM');
});

test('configuration accepts the names that there are, and paths and packages, and no others', () => {
  const parse = CONFIG_KEYS['host.selector'].parse;
  for (const name of [...SELECTOR_NAMES, 'LOCALITY:PULL', './mine.ts', '/opt/mine.js', 'my-selector', '@me/selector', 'LOCALITY:./mine.js']) {
    expect(parse.safeParse(name).success, name).toBe(true);
  }
  for (const name of ['FASTEST', 'random ', 'LOCALITY:', 'LOCALITY:LOCALITY', '', 'Random']) expect(parse.safeParse(name).success, name).toBe(false);
});

test('POWER_OF_TWO takes the less loaded of two different hosts', () => {
  const hosts = [host('a', 4), host('b', 0), host('c', 2)];
  const draws = [0, 0, 0, 0.9, 0.5, 0.9];
  const selector = powerOfTwoSelector(() => draws.shift() as number);
  expect([1, 2, 3].map((id) => selector.select(task(id), hosts, view(hosts))?.id)).toEqual(['b', 'c', 'b']);
  expect(powerOfTwoSelector(() => 0.5).select(task(1), [host('only')], view([]))?.id).toBe('only');
});

test('PULL binds a task only where a slot is free, and asks for no queue beyond the slots', () => {
  const selector = pullSelector(() => 0.99);
  expect(selector.queueDepth).toBe(1);
  expect(createSelector('PULL').queueDepth).toBe(1);
  expect(createSelector('LOCALITY:PULL').queueDepth).toBe(1);
  const hosts = [host('full', 4), host('some', 3), host('most', 1)];
  expect(selector.select(task(1), hosts, view(hosts))?.id).toBe('most');
  expect(selector.select(task(1), [host('full', 4)], view(hosts))).toBeUndefined();
});
test('an unknown selector is refused with the list of the known', () => {
  expect(() => createSelector('FASTEST')).toThrow(
    expect.objectContaining({ code: 'SP_SELECTOR_UNKNOWN', message: expect.stringMatching(/FASTEST.*\n.*RANDOM, ROUND_ROBIN, LEAST_LOADED/) as string }),
  );
});
