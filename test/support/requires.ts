import { describe } from 'vitest';
import { COMPONENTS, type ComponentName } from '../../tools/components.ts';

/**
 * `describe` for tests that need real servers or languages. Where one is missing they are skipped with a line that says
 * what to install; with CI=true that is a failure.
 */
export function describeWith(names: readonly ComponentName[], title: string, body: () => void): void {
  const missing = names.map((name) => COMPONENTS[name]).filter((component) => component.find() === undefined);
  if (missing.length > 0) {
    const what = missing.map(({ name, debian }) => `${name} (${debian.join(', ')})`).join(' and ');
    if (process.env['CI'] === 'true') throw new Error(`${title}: ${what} is missing; run npm run services`);
    console.warn(`\n!!! SKIPPED: ${title}: install ${what}, or run npm run services\n`);
  }
  describe.skipIf(missing.length > 0)(title, () => {
    body();
  });
}
