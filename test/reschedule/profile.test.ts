import { expect, test } from 'vitest';
import { loadConfiguration } from '../../src/core/config.ts';
import { profileOf } from '../../src/reschedule/profile.ts';

const profile = (settings: Readonly<Record<string, string>>) => profileOf(loadConfiguration({ flags: new Map(Object.entries(settings)), env: {} }), 'app');

test('without settings nothing is asked for', () => {
  expect(profile({})).toMatchObject({
    application: 'app',
    weight: 1,
    minShare: 0,
    priority: 0,
    maxLeases: 4,
    retryBackoffMs: 100,
    poison: 'fail',
    placement: {},
  });
  expect(profile({})).not.toHaveProperty('verify');
  expect(profile({})).not.toHaveProperty('speculation');
});

test('pools, speculation, verification and placement are as configured', () => {
  expect(
    profile({
      'dispatch.pool': 'reports',
      'dispatch.pool.weight': '3',
      'spark.speculation': 'true',
      'spark.speculation.quantile': '0.5',
      'verify.quorum': '3',
      'verify.comparator': 'float:1e-6',
      'placement.hosts': 'a, b',
      'placement.required.labels': 'zone=eu, disk=ssd',
    }),
  ).toMatchObject({
    pool: 'reports',
    weight: 3,
    speculation: { quantile: 0.5, multiplier: 3, minTaskRuntimeMs: 100 },
    verify: { quorum: 3, maxReplicas: 5, comparator: 'float:1e-6' },
    placement: { preferredHosts: ['a', 'b'], requiredLabels: { zone: 'eu', disk: 'ssd' } },
  });
});

test.each([
  ['verify.quorum', '1'],
  ['spark.speculation.quantile', '1.5'],
  ['placement.labels', 'zone'],
  ['dispatch.poison', 'maybe'],
])('%s=%s is refused with its key', (key, value) => {
  expect(() => profile({ [key]: value })).toThrow(expect.objectContaining({ message: expect.stringContaining(key) as string }));
});
