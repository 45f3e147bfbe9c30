import type { Clock, Timer } from '../core/clock.ts';
import type { Announcement, Load, Registration } from './contract.ts';
import { encodeAnnounce, encodeBeat, encodeLeave, REGISTRY_MESSAGE } from './messages.ts';

/** Says one message on the topic of the registry; failures are the caller's to log, never to throw. */
export type Say = (type: string, body: Uint8Array) => Promise<void>;

/** Updates closer together than this are said as one. */
const UPDATE_GAP_MS = 20;
/** However many ask who is there, the answer comes no more often. */
const ANSWER_GAP_MS = 50;

export interface Announcer extends Announcement {
  /** Says everything again: somebody asked, or the connection is new. */
  answer(): void;
}

/** Calls `act` at once, and no more often than every `gapMs`; calls in between are made up for by one at the end. */
function spaced(clock: Clock, gapMs: number, act: () => void): { call: (urgent?: boolean) => void; cancel: () => void } {
  let last = Number.NEGATIVE_INFINITY;
  let timer: Timer | undefined;
  const run = (): void => {
    timer?.cancel();
    timer = undefined;
    last = clock.now();
    act();
  };
  return {
    call(urgent = false) {
      const wait = last + gapMs - clock.now();
      if (urgent || wait <= 0) run();
      else timer ??= clock.after(wait, run, { background: true });
    },
    cancel: () => timer?.cancel(),
  };
}

/** Announces one entry and beats for it until it leaves. */
export function createAnnouncer(entry: Registration, beatMs: number, clock: Clock, say: Say): Announcer {
  let load: Load = { running: 0, queued: 0, draining: false };
  let left: Promise<void> | undefined;
  const announcing = spaced(clock, ANSWER_GAP_MS, () => void say(REGISTRY_MESSAGE.announce, encodeAnnounce(entry, load)));
  const beating = spaced(clock, UPDATE_GAP_MS, () => void say(REGISTRY_MESSAGE.beat, encodeBeat(entry.id, load)));
  announcing.call();
  const beat = clock.every(beatMs, () => beating.call(true));

  return {
    answer() {
      if (left === undefined) announcing.call();
    },
    update(next) {
      if (left !== undefined) return;
      const { running, queued, draining } = load;
      // Refused here, where the caller sees it, rather than in a timer.
      encodeBeat(entry.id, next);
      if (next.running === running && next.queued === queued && next.draining === draining) return;
      load = { running: next.running, queued: next.queued, draining: next.draining };
      beating.call(next.draining !== draining);
    },
    leave() {
      left ??= (async () => {
        beat.cancel();
        announcing.cancel();
        beating.cancel();
        await say(REGISTRY_MESSAGE.leave, encodeLeave(entry.id));
      })();
      return left;
    },
  };
}
