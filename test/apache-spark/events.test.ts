import { describe, expect, test } from 'vitest';
import { parseEvent } from '../../src/apache-spark/events.ts';
import { LatencyHistogram } from '../../src/apache-spark/metrics.ts';

describe('listener events', () => {
  test('jobs, stages, tasks and executors have their types', () => {
    expect(parseEvent(['jobStart', '1', '1700', '2,3'])).toEqual({ type: 'jobStart', jobId: 1, time: 1700, stageIds: [2, 3] });
    expect(parseEvent(['jobEnd', '1', '1800', 'JobFailed(x)'])).toMatchObject({ succeeded: false, reason: 'JobFailed(x)' });
    expect(parseEvent(['jobEnd', '1', '1800', 'JobSucceeded'])).toMatchObject({ succeeded: true });
    expect(parseEvent(['stageCompleted', '2', '1', 'count at x.py', '8', 'lost'])).toMatchObject({ stageId: 2, attempt: 1, tasks: 8, failureReason: 'lost' });
    expect(parseEvent(['taskStart', '9', '2', '0', '4', '1', '900001', 'h', 'ANY', 'true'])).toEqual({
      type: 'taskStart',
      taskId: 9,
      stageId: 2,
      stageAttempt: 0,
      index: 4,
      attempt: 1,
      executorId: '900001',
      host: 'h',
      locality: 'ANY',
      speculative: true,
    });
    expect(parseEvent(['taskEnd', '9', '2', '0', '4', '1', '900001', 'h', 'SUCCESS', '12', '10', '2048', 'Success'])).toMatchObject({
      status: 'SUCCESS',
      durationMs: 12,
      runTimeMs: 10,
      resultBytes: 2048,
      reason: '',
    });
    expect(parseEvent(['executorAdded', '1234567890', 'h', '2'])).toMatchObject({ cores: 2, external: true });
    expect(parseEvent(['executorAdded', '3', 'h', '2'])).toMatchObject({ external: false });
    expect(parseEvent(['attached', '900001', 'w1', 'h', '2'])).toEqual({ type: 'attached', executorId: '900001', workerId: 'w1', host: 'h', cores: 2 });
    expect(parseEvent(['kill', '9', 'another attempt succeeded'])).toEqual({ type: 'kill', taskId: 9, reason: 'another attempt succeeded' });
  });

  test('an event of a newer agent is passed over; nonsense in numbers is 0', () => {
    expect(parseEvent(['barrierStarted', '1'])).toBeUndefined();
    expect(parseEvent([])).toBeUndefined();
    expect(parseEvent(['jobStart', 'x', 'y'])).toEqual({ type: 'jobStart', jobId: 0, time: 0, stageIds: [] });
  });
});

test('a latency histogram tells in which bucket the quantiles lie', () => {
  const histogram = new LatencyHistogram();
  for (let i = 0; i < 98; i++) histogram.add(3);
  histogram.add(100);
  histogram.add(100_000);
  expect(histogram.snapshot()).toMatchObject({ count: 100, p50Ms: 4, p99Ms: 128 });
  expect(new LatencyHistogram().snapshot()).toMatchObject({ count: 0, sumMs: 0 });
});
