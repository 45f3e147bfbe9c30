import { expect, test } from 'vitest';
import { consistentHashSelector } from '../../src/selectors/index.ts';
import type { ClusterView, Host } from '../../src/selectors/contract.ts';
import { task } from '../dispatcher/fixtures.ts';

const host = (id: string, credit = 8): Host => ({ id, host: id, labels: {}, slots: 4, outstanding: 8 - credit, credit });
const cluster = (hosts: Host[]): ClusterView & { version: number } => ({ hosts, version: 1, application: 'app', now: 0, stage: () => undefined });
const KEYS = 20_000;

function owners(view: ClusterView, stageId = 3): (string | undefined)[] {
  const selector = consistentHashSelector();
  return Array.from({ length: KEYS }, (_, index) => selector.select(task(index, { stageId, index }), view.hosts, view)?.id);
}

test('a partition goes to the same host every time, whoever asks', () => {
  const view = cluster(['a', 'b', 'c', 'd'].map((id) => host(id)));
  const mirrored = cluster(['d', 'b', 'a', 'c'].map((id) => host(id)));
  expect(owners(view)).toEqual(owners(mirrored));
});

test('every host has about its share', () => {
  const view = cluster(Array.from({ length: 10 }, (_, i) => host(`worker-${i}`)));
  const counts = new Map<string | undefined, number>();
  for (const id of owners(view)) counts.set(id, (counts.get(id) ?? 0) + 1);
  expect(counts.size).toBe(10);
  for (const count of counts.values()) {
    expect(count).toBeGreaterThan((KEYS / 10) * 0.6);
    expect(count).toBeLessThan((KEYS / 10) * 1.5);
  }
});

test('a host that joins takes only its own share, and one that leaves moves only what it held', () => {
  const ids = Array.from({ length: 10 }, (_, i) => `worker-${i}`);
  const before = owners(cluster(ids.map((id) => host(id))));
  const joined = owners(cluster([...ids, 'worker-new'].map((id) => host(id))));
  const moved = before.filter((id, i) => id !== joined[i]).length;
  expect(joined.every((id, i) => id === before[i] || id === 'worker-new')).toBe(true);
  expect(moved / KEYS).toBeLessThan(0.16);
  const left = owners(cluster(ids.slice(1).map((id) => host(id))));
  expect(left.every((id, i) => id === before[i] || before[i] === 'worker-0')).toBe(true);
});

test('the ring follows a view whose version changes', () => {
  const hosts = [host('a'), host('b')];
  const view = cluster(hosts);
  const selector = consistentHashSelector();
  selector.select(task(1), hosts, view);
  hosts.push(host('c'));
  view.version = 2;
  const seen = new Set(Array.from({ length: 100 }, (_, index) => selector.select(task(index, { index }), hosts, view)?.id));
  expect([...seen].sort()).toEqual(['a', 'b', 'c']);
});

test('without credit the owner is passed over for the next on the ring, and only hosts that are offered are chosen', () => {
  const [a, b, c] = [host('a', 0), host('b'), host('c')];
  const view = cluster([a, b, c]);
  const selector = consistentHashSelector();
  for (let index = 0; index < 200; index++) expect(['b', 'c']).toContain(selector.select(task(index, { index }), [b, c], view)?.id);
  for (let index = 0; index < 200; index++) expect(selector.select(task(index, { index }), [c], view)?.id).toBe('c');
});

test('tasks whose input is at one place go to one host', () => {
  const hosts = ['a', 'b', 'c', 'd'].map((id) => host(id));
  const selector = consistentHashSelector();
  const picks = Array.from({ length: 20 }, (_, index) => selector.select(task(index, { index, preferredLocations: ['block-7'] }), hosts, cluster(hosts))?.id);
  expect(new Set(picks).size).toBe(1);
});

test('a pick costs well below a microsecond with 64 hosts', () => {
  const hosts = Array.from({ length: 64 }, (_, i) => host(`worker-${i}`));
  const view = cluster(hosts);
  const selector = consistentHashSelector();
  const one = task(1);
  const pick = (n: number): number => {
    const started = process.cpuUsage();
    for (let i = 0; i < n; i++) selector.select(one, hosts, view);
    const { user, system } = process.cpuUsage(started);
    return ((user + system) / n) * 1000;
  };
  pick(100_000);
  // About 100 ns on a quiet machine; ten times that would mean a walk over the ring.
  expect(Math.min(pick(100_000), pick(100_000), pick(100_000))).toBeLessThan(1000);
});
