import { expect, test } from 'vitest';
import { killWorkers } from './worker-kills.ts';

test('workers are killed in the middle of jobs and started again: nothing is lost, nothing is there twice', async () => {
  const { kills, jobs, lost, double, failures } = await killWorkers({ kills: 5, workers: 3 });
  expect({ kills, lost, double, failures }).toEqual({ kills: 5, lost: 0, double: 0, failures: [] });
  expect(jobs).toBeGreaterThan(2);
}, 180_000);
