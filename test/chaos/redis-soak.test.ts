import { expect, test } from 'vitest';
import { describeWith } from '../support/requires.ts';
import { soakRedis } from './redis-soak.ts';

describeWith(['redis'], 'Redis, connections that are cut, readers that are replaced, and a server that is killed', () => {
  test('nothing is lost, nothing comes twice unmarked, nothing overtakes, nothing is left', async () => {
    const { sent, seen, missing, failed, unmarked, overtaking, left } = await soakRedis({ seconds: 4 });
    expect({ missing, failed, unmarked, overtaking, left }).toEqual({ missing: [], failed: [], unmarked: [], overtaking: [], left: [] });
    expect(seen).toBeGreaterThanOrEqual(sent);
    expect(sent).toBeGreaterThan(500);
  }, 180_000);
});
