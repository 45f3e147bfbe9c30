import { expect, test } from 'vitest';
import { leastLoadedSelector, localitySelector } from '../../src/selectors/index.ts';
import type { ClusterView, Host } from '../../src/selectors/contract.ts';
import { machine, sent, task, tasks } from '../dispatcher/fixtures.ts';

const host = (id: string, machineName = id): Host => ({ id, host: machineName, labels: {}, slots: 1, outstanding: 0, credit: 1 });
const [a, b, c] = [host('a', 'm1'), host('b', 'm1'), host('c', 'm2')];
const at = (now: number): ClusterView => ({ hosts: [a, b, c], version: 1, application: 'app', now, stage: () => undefined });
const wants = (...preferredLocations: string[]) => task(1, { preferredLocations });
const selector = () =>
  localitySelector(
    leastLoadedSelector(() => 0.99),
    { processMs: 100, nodeMs: 50 },
  );

test('a task goes to the worker with its input at once', () => {
  expect(selector().select(wants('b'), [a, b, c], at(0))?.id).toBe('b');
});

test('it waits for that worker, then for its machine, then goes anywhere', () => {
  const s = selector();
  expect(s.select(wants('a'), [b, c], at(0))).toBeUndefined();
  expect(s.select(wants('a'), [b, c], at(99))).toBeUndefined();
  expect(s.select(wants('a'), [b, c], at(100))?.id).toBe('b');
  const t = selector();
  expect(t.select(wants('a'), [c], at(0))).toBeUndefined();
  expect(t.select(wants('a'), [c], at(149))).toBeUndefined();
  expect(t.select(wants('a'), [c], at(150))?.id).toBe('c');
});

test('a launch at its place makes the stage patient again', () => {
  const s = selector();
  expect(s.select(wants('a'), [b, c], at(0))).toBeUndefined();
  expect(s.select(wants('a'), [a, b, c], at(90))?.id).toBe('a');
  expect(s.select(wants('a'), [b, c], at(150))).toBeUndefined();
  expect(s.select(wants('a'), [b, c], at(190))?.id).toBe('b');
});

test('nobody waits for a worker or machine that is not in the cluster, or without a preference', () => {
  expect(selector().select(wants('gone'), [c], at(0))?.id).toBe('c');
  expect(selector().select(wants(), [c], at(0))?.id).toBe('c');
  expect(selector().select(wants('m2'), [a, c], at(0))?.id).toBe('c');
});

test('in the dispatcher, a task that waits for its place does not hold up others, and is sent when its wait is over', () => {
  const m = machine({ queueDepth: 1, selector: selector() });
  m.join('a', { host: 'm1' });
  m.join('c', { host: 'm2' });
  expect(sent(m.submit(tasks(1, { preferredLocations: ['a'] })))).toEqual(['a:0@1']);
  expect(sent(m.submit([...tasks(1, { preferredLocations: ['a'] }, 1), ...tasks(1, { stageId: 1 }, 2)]))).toEqual(['c:2@1']);
  m.status('c', 2, 1, 'FINISHED');
  m.at.now = 149;
  expect(sent(m.tick())).toEqual([]);
  m.at.now = 151;
  expect(sent(m.tick())).toEqual(['c:1@1']);
});
