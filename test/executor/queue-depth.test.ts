import { expect, test } from 'vitest';
import { QueueDepth } from '../../src/executor/queue-depth.ts';

function learn(depth: QueueDepth, stage: string, ms: number, times = 60): void {
  for (let i = 0; i < times; i++) depth.learn(stage, ms);
}

test('nothing waits behind tasks of unknown length', () => {
  const depth = new QueueDepth(128);
  expect([depth.any, depth.of('new')]).toEqual([1, 1]);
});

test('the shorter tasks have proved, the more a thread is given', () => {
  const seen = [60, 4, 0.4, 0.05, 0.001].map((ms) => {
    const depth = new QueueDepth(128);
    learn(depth, 'a', ms);
    return [depth.any, depth.of('a')];
  });
  expect(seen).toEqual([
    [1, 1],
    [2, 2],
    [16, 16],
    [expect.closeTo(40, -1), 40],
    [128, 128],
  ]);
});

test('a stage that has shown nothing yet is not queued as deep as another that is very short', () => {
  const depth = new QueueDepth(128);
  learn(depth, 'short', 0.001);
  expect([depth.any, depth.of('short'), depth.of('new')]).toEqual([128, 128, 16]);
  learn(depth, 'new', 50, 3);
  expect([depth.of('short'), depth.of('new')]).toEqual([128, 1]);
  learn(depth, 'short', 0.001);
  expect([depth.of('short'), depth.of('new')]).toEqual([128, 1]);
});

test('many stages are not remembered for ever', () => {
  const depth = new QueueDepth(128);
  for (let i = 0; i < 2000; i++) learn(depth, `stage ${i}`, 0.001, 100);
  expect([depth.of('stage 1999'), depth.of('stage 0')]).toEqual([128, 16]);
});

test('no thread is given more than is said', () => {
  const depth = new QueueDepth(4);
  learn(depth, 'a', 0.001);
  expect([depth.any, depth.of('a'), depth.of('b')]).toEqual([4, 4, 4]);
});
