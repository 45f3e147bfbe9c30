import { seededRandom, type Random } from '../../src/core/ids.ts';
import type { DispatcherEffect, DispatcherEvent } from '../../src/dispatcher/contract.ts';
import { DispatcherState } from '../../src/dispatcher/state.ts';
import type { DispatcherStateOptions } from '../../src/dispatcher/options.ts';
import { createSelector, SELECTOR_NAMES } from '../../src/selectors/index.ts';
import { APP, registration, task, update } from '../dispatcher/fixtures.ts';
import { Agenda } from './agenda.ts';
import { InvariantChecker } from './checker.ts';
import { SimulatedWorker, type FromWorker, type ToWorker } from './worker.ts';

/** The part of the machine that the world drives; tests put a broken one in its place to see that the checker notices. */
export interface Machine {
  readonly live: number;
  handle(event: DispatcherEvent): DispatcherEffect[];
}

export interface SimulationResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  readonly submitted: number;
  readonly events: number;
  readonly finished: number;
  readonly retried: number;
  readonly fenced: number;
  readonly handedBack: number;
  readonly resent: number;
  /** Runs that did not count. */
  readonly wasted: number;
}

const BEAT_MS = 50;
const TICK_MS = 25;
/** Faults end here; what is still live long after it has been lost. */
const FAULTS_END_MS = 4000;
const END_MS = 60_000;
const QUEUE_DEPTH = 2;

type Distribute<E> = E extends DispatcherEvent ? Omit<E, 'now'> : never;

/**
 * One seeded world: an application, the real DispatcherState, a register center and workers that crash, pause and drain,
 * joined by a network that drops, delays, reorders and repeats. Time is simulated; the same seed gives the same run
 * (after FoundationDB's simulation and TigerBeetle's VOPR).
 */
export function simulate(seed: number, wrap: (machine: DispatcherState) => Machine = (machine) => machine): SimulationResult {
  const random = seededRandom(seed);
  const agenda = new Agenda();
  const checker = new InvariantChecker(QUEUE_DEPTH);
  const trace: string[] = [];
  const log = (line: string): void => {
    trace.push(`${agenda.now.toFixed(1).padStart(9)} ${line}`);
  };
  const knobs = drawKnobs(random);
  log(`seed ${seed} ${JSON.stringify(knobs)}`);
  const options: DispatcherStateOptions = {
    selector: createSelector(knobs.selector, { random }),
    leaseMs: knobs.leaseMs,
    maxLeases: knobs.maxLeases,
    resendAfterMs: 200,
    queueDepth: QUEUE_DEPTH,
  };
  const state = new DispatcherState(options);
  const machine = wrap(state);
  const workers = new Map<string, SimulatedWorker>();
  /** The register center's view: who beat when. */
  const registered = new Map<string, { slots: number; lastBeat: number }>();
  const runs = new Map<string, number>();
  let events = 0;
  let ranTotal = 0;
  const faulty = (): boolean => agenda.now < FAULTS_END_MS;

  /** Delivers a message never, once or twice, each time after a delay of its own. */
  const network = (deliver: () => void): void => {
    if (faulty() && random() < knobs.drop) return;
    const copies = faulty() && random() < knobs.repeat ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const slow = faulty() && random() < knobs.slow;
      agenda.in(slow ? random() * 3 * knobs.leaseMs : 0.1 + random() * knobs.delayMs, deliver);
    }
  };

  const handle = (untimed: Distribute<DispatcherEvent>): void => {
    const event = { ...untimed, now: agenda.now } as DispatcherEvent;
    events++;
    let effects: DispatcherEffect[] = [];
    try {
      effects = machine.handle(event);
    } catch (error) {
      checker.violations.push(`handle threw: ${(error as Error).message}`);
    }
    if (event.type !== 'tick' || effects.length > 0) log(describe(event));
    checker.observe(event, effects, machine.live);
    for (const effect of effects) {
      log(`   -> ${describe(effect)}`);
      carryOut(effect);
    }
  };

  const carryOut = (effect: DispatcherEffect): void => {
    if (effect.type !== 'send' && effect.type !== 'cancelOnWorker') return;
    const messages: ToWorker[] =
      effect.type === 'send'
        ? [...effect.blobs.map((hash) => ({ type: 'blob', hash }) as const), ...effect.tasks.map((leased) => ({ type: 'task', leased }) as const)]
        : [{ type: 'cancel', key: `${effect.application}/${effect.taskId}@${effect.epoch}` }];
    for (const message of messages) network(() => workers.get(effect.workerId)?.receive(message));
  };

  const fromWorker = (worker: SimulatedWorker, message: FromWorker): void => {
    network(() => {
      switch (message.type) {
        case 'status': {
          const { application, epoch, taskId, state: taskState } = message;
          return handle({ type: 'status', workerId: worker.id, application, epoch, update: update(taskId, taskState, worker.id) });
        }
        case 'missing':
          return handle({ type: 'blobMissing', workerId: worker.id, hash: message.hash });
        case 'beat': {
          const known = registered.get(worker.id);
          registered.set(worker.id, { slots: worker.slots, lastBeat: agenda.now });
          if (known !== undefined) return handle({ type: 'workerBeat', workerId: worker.id, load: message.load });
          return handle({ type: 'workerJoined', worker: registration(worker.id, { slots: worker.slots }), load: message.load });
        }
      }
    });
  };

  const leave = (id: string, reason: string): void => {
    if (registered.delete(id)) handle({ type: 'workerLeft', workerId: id, reason });
  };

  const startWorker = (place: number, life: number): void => {
    const slots = 1 + Math.floor(random() * 3);
    const worker = new SimulatedWorker(`w${place}.${life}`, slots, {
      in: (ms, run) => agenda.in(ms, run),
      random,
      send: (message) => fromWorker(worker, message),
      ran: (key) => {
        ranTotal++;
        runs.set(key, (runs.get(key) ?? 0) + 1);
      },
    });
    workers.set(worker.id, worker);
    log(`${worker.id} starts with ${slots} slots`);
    const end = (how: string): void => {
      if (worker.dead) return;
      worker.dead = true;
      log(`${worker.id} ${how}`);
      workers.delete(worker.id);
      agenda.in(50 + random() * 500, () => startWorker(place, life + 1));
    };
    const live = (): void => {
      if (worker.dead) return;
      worker.beat();
      if (worker.draining && worker.idle) {
        agenda.in(random() * knobs.delayMs, () => leave(worker.id, 'left'));
        return end('has drained');
      }
      if (faulty() && random() < knobs.crash) return end('crashes');
      if (faulty() && random() < knobs.pause) {
        const ms = random() * 3 * knobs.leaseMs;
        log(`${worker.id} is paused for ${ms.toFixed(0)} ms`);
        worker.pause(ms);
      }
      if (faulty() && !worker.draining && random() < knobs.drain) {
        log(`${worker.id} drains`);
        worker.drain();
      }
      agenda.in(BEAT_MS, live);
    };
    live();
  };

  const tick = (): void => {
    for (const [id, { lastBeat }] of registered) if (agenda.now - lastBeat > knobs.ttlMs) leave(id, 'expired');
    handle({ type: 'tick' });
    // Stops when all is done, so that most seeds are short.
    if (faulty() || (machine.live > 0 && agenda.now < END_MS)) agenda.in(TICK_MS, tick);
    else done = true;
  };
  let done = false;

  for (let place = 0; place < knobs.workers; place++) agenda.in(random() * 100, () => startWorker(place, 0));
  for (let i = 0; i < knobs.tasks;) {
    const batch = Math.min(knobs.tasks - i, 1 + Math.floor(random() * 12));
    const from = i;
    agenda.in(random() * FAULTS_END_MS * 0.8, () => {
      const submissions = Array.from({ length: batch }, (_, j) => ({ application: APP, task: task(from + j, { commons: [`stage-${(from + j) % 3}`] }) }));
      handle({ type: 'submit', submissions });
      for (const submission of submissions) {
        const { taskId } = submission.task;
        if (random() < knobs.cancel) agenda.in(random() * 300, () => handle({ type: 'cancel', application: APP, taskId, reason: 'simulated' }));
      }
    });
    i += batch;
  }
  tick();
  while (!done && checker.violations.length === 0 && agenda.step());

  const violations = [...checker.violations];
  for (const [key, model] of checker.tasks) if (model.ends !== 1 && violations.length < 20) violations.push(`${key} ended ${model.ends} times by the end`);
  const stats = state.stats();
  const { submitted, finished, retried, fenced, handedBack } = stats;
  const accounted = stats.finished + stats.failed + stats.handedBack;
  if (violations.length === 0 && accounted !== submitted) violations.push(`${submitted} were submitted, ${accounted} are accounted for`);
  return { seed, violations, trace, submitted, events, finished, retried, fenced, handedBack, resent: state.repeats.resent, wasted: ranTotal - finished };
}

function drawKnobs(random: Random) {
  const rate = (most: number): number => (random() < 0.3 ? 0 : random() * most);
  return {
    workers: 1 + Math.floor(random() * 5),
    tasks: 20 + Math.floor(random() * 60),
    selector: SELECTOR_NAMES[Math.floor(random() * SELECTOR_NAMES.length)] as string,
    maxLeases: 2 + Math.floor(random() * 4),
    leaseMs: 150 + Math.floor(random() * 400),
    // The register center may notice before the lease ends, or after.
    ttlMs: 120 + Math.floor(random() * 800),
    delayMs: 1 + random() * 30,
    drop: rate(0.15),
    repeat: rate(0.2),
    slow: rate(0.05),
    crash: rate(0.03),
    pause: rate(0.03),
    drain: rate(0.02),
    cancel: rate(0.15),
  };
}

function describe(what: DispatcherEvent | DispatcherEffect): string {
  const parts: string[] = [what.type];
  for (const [name, value] of Object.entries(what)) {
    if (name === 'type' || name === 'now') continue;
    if (name === 'tasks' || name === 'submissions') {
      const items = value as { epoch?: number; task?: { taskId: number }; taskId?: number }[];
      parts.push(items.map((item) => `${(item.task ?? (item as { taskId: number })).taskId}${item.epoch === undefined ? '' : `@${item.epoch}`}`).join(','));
    } else if (name === 'update') {
      const { state, taskId } = value as { state: string; taskId: number };
      parts.push(`${state} ${taskId}`);
    } else if (name === 'worker') parts.push((value as { id: string }).id);
    else parts.push(typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  return parts.join(' ');
}
