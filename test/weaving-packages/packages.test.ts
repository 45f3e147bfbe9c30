import { describe, expect, test } from 'vitest';
import { filesOf, runSuite, SUITES, type Suite } from './suites.ts';

/*
 * `npm run test:packages` runs all of every suite; the default run a part of two. A suite is judged by itself: what fails
 * unwoven too (for want of what is not installed) says nothing, and is counted.
 */
const FULL = process.env['PACKAGE_SUITES'] === 'full';

/** How many files the default run takes. */
const SHORT: Readonly<Record<string, number>> = { 'light-my-request': 6, zod: 6 };

/** Of tests, at least so many pass; of those that do not pass unwoven, at most so many. */
const EXPECTED: Readonly<Record<string, readonly [passed: number, failing: number]>> = {
  'find-my-way': [500, 0],
  'light-my-request': [28, 0],
  fastify: [1350, 10],
  zod: [1450, 40],
};

async function check(suite: Suite): Promise<void> {
  const files = filesOf(suite);
  const some = FULL ? files : files.slice(0, SHORT[suite.package]);
  const plain = await runSuite(suite, some, false);
  const woven = await runSuite(suite, some, true);
  const [passed, failing] = EXPECTED[suite.package]!;
  expect(plain.failed.length, plain.failed.join('\n')).toBeLessThanOrEqual(failing);
  expect(plain.passed.length).toBeGreaterThanOrEqual(FULL ? passed : 20);
  expect(
    woven.failed.filter((name) => !plain.failed.includes(name)),
    woven.output.slice(-4000),
  ).toEqual([]);
  expect(woven.passed).toEqual(plain.passed);
  // It was woven.
  expect(woven.calls).toBeGreaterThan(FULL ? 1000 : 100);
}

describe.each(FULL ? SUITES : SUITES.filter(({ package: name }) => name in SHORT))('$package ($format)', (suite) => {
  test('its own tests pass with every method woven by a no-op around advice', () => check(suite), FULL ? 3_000_000 : 300_000);
});
