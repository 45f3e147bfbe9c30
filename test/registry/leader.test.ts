import { expect, test } from 'vitest';
import type { Registration } from '../../src/registry/contract.ts';
import { LeaderTracker } from '../../src/registry/leader.ts';

const load = { running: 0, queued: 0, draining: false };
const entry = (id: string, term: number | string, role = 'leader'): Registration => ({
  kind: 'dispatcher',
  id,
  host: 'h',
  pid: 1,
  version: '',
  slots: 0,
  kinds: [],
  labels: { role, term: String(term) },
  queue: `dispatcher.${id}`,
});

function tracker(tiesById = false) {
  const heard: string[] = [];
  const leaders = new LeaderTracker({
    onChange: (leader) => void heard.push(leader?.id ?? 'none'),
    onOutranked: (stale, highest) => void heard.push(`${stale.id} below ${highest}`),
    tiesById,
  });
  return {
    leaders,
    heard,
    joined: (id: string, term: number | string, role?: string) => leaders.handle({ type: 'joined', entry: entry(id, term, role), load }),
    left: (id: string) => leaders.handle({ type: 'left', id, reason: 'expired' }),
  };
}

test('the highest term ever seen is followed; a lower one is told, whether or not the higher still lives', () => {
  const { leaders, heard, joined, left } = tracker();
  joined('a', 1);
  joined('b', 2);
  left('b');
  joined('a', 1);
  joined('c', 3);
  expect(heard).toEqual(['a', 'b', 'none', 'a below 2', 'c']);
  expect(leaders.isDeposed('a')).toBe(true);
  expect(leaders.isDeposed('c')).toBe(false);
  expect(leaders.highestTerm).toBe(3);
});

test('a leader that was silent for a while and comes back is followed again', () => {
  const { leaders, heard, joined, left } = tracker();
  joined('a', 1);
  left('a');
  joined('a', 1);
  expect(heard).toEqual(['a', 'none', 'a']);
  expect(leaders.current?.id).toBe('a');
});

test('of one term, followers keep to whom they saw first, dispatchers to the higher id', () => {
  const followers = tracker();
  followers.joined('a', 1);
  followers.joined('b', 1);
  expect(followers.heard).toEqual(['a', 'b below 1']);
  const dispatchers = tracker(true);
  dispatchers.joined('a', 1);
  dispatchers.joined('b', 1);
  expect(dispatchers.heard).toEqual(['a', 'b']);
});

test('what does not lead, or claims nonsense, is not followed', () => {
  const { heard, joined } = tracker();
  joined('standby', 0, 'standby');
  for (const term of ['', '-1', '0', '1.5', 'many', '1e300', '99999999']) joined(`x${term}`, term);
  expect(heard).toEqual([]);
});
