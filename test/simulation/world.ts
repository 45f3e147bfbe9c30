import { seededRandom } from '../../src/core/ids.ts';
import type { LeasedStatus } from '../../src/protocol/messages.ts';
import type { DispatcherEffect, DispatcherEvent, Submission } from '../../src/dispatcher/contract.ts';
import { orderFactory } from '../../src/dispatcher/orders.ts';
import { DispatcherState } from '../../src/dispatcher/state.ts';
import { StageTask, type StatusUpdate, type TaskDescription } from '../../src/protocol/task.ts';
import { createSelector } from '../../src/selectors/index.ts';
import { registration, task } from '../dispatcher/fixtures.ts';
import { Agenda } from './agenda.ts';
import { InvariantChecker } from './checker.ts';
import { describe } from './describe.ts';
import { drawKnobs, profilesOf } from './knobs.ts';
import { rightResult, SimulatedWorker, type FromWorker, type ToWorker } from './worker.ts';

/** The part of the machine that the world drives; tests put a broken one in its place to see that the checker notices. */
export interface Machine {
  readonly live: number;
  handle(event: DispatcherEvent): DispatcherEffect[];
}

const NO_SUMS = {
  ...{ submitted: 0, events: 0, finished: 0, retried: 0, fenced: 0, handedBack: 0, resent: 0, parked: 0, speculated: 0, speculationWon: 0 },
  ...{ verified: 0, replicated: 0, disagreements: 0, adopted: 0, excluded: 0, takeovers: 0, resubmitted: 0, wasted: 0, queuedDeep: 0 },
};

export interface SimulationResult {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Empty unless asked for. */
  readonly trace: readonly string[];
  readonly sums: Readonly<typeof NO_SUMS>;
}

export interface SimulateOptions {
  readonly wrap?: (machine: DispatcherState) => Machine;
  readonly trace?: boolean;
}

const BEAT_MS = 50;
const TICK_MS = 40;
/** Faults end here; what is still live long after it has been lost. */
const FAULTS_END_MS = 2500;
const END_MS = 60_000;
const HOUR_MS = 3_600_000;

type Distribute<E> = E extends DispatcherEvent ? Omit<E, 'now'> : never;

/** One process that believes it leads. */
interface Leader {
  readonly term: number;
  readonly state: DispatcherState;
  readonly machine: Machine;
  readonly checker: InvariantChecker;
}

/**
 * One seeded world: two applications, leading dispatchers (the real DispatcherState) one after another, a register center and
 * workers that crash, pause, drain and lie, joined by a network that drops, delays, reorders and repeats. Time is simulated; the
 * same seed gives the same run (after FoundationDB's simulation and TigerBeetle's VOPR).
 *
 * What must hold: of each leader what InvariantChecker says; and across leaders, that every task an application submitted
 * ends, and where results are verified, that none is wrong.
 */
export function simulate(seed: number, { wrap = (machine) => machine, trace: traces = false }: SimulateOptions = {}): SimulationResult {
  const random = seededRandom(seed);
  const agenda = new Agenda();
  const trace: string[] = [];
  const log = (line: () => string): void => {
    if (traces) trace.push(`${agenda.now.toFixed(1).padStart(9)} ${line()}`);
  };
  const knobs = drawKnobs(random);
  const profiles = profilesOf(knobs);
  log(() => `seed ${seed} ${JSON.stringify(knobs)}`);
  const sums = { ...NO_SUMS };
  const violations: string[] = [];
  const workers = new Map<string, SimulatedWorker>();
  /** The register center's view: who beat when. */
  const registered = new Map<string, { slots: number; lastBeat: number }>();
  /** What the applications wait for; kept by them, whoever leads. */
  const unfinished = new Map<string, Submission>();
  const ended = new Set<string>();
  let ranTotal = 0;
  /** Of the dispatchers' clock: jumps forward now and then. */
  let clockAhead = 0;
  let leader: Leader | undefined;
  /** An earlier leader that was cut off, and does not know. */
  let zombie: Leader | undefined;
  let done = false;
  const faulty = (): boolean => agenda.now < FAULTS_END_MS;

  const startLeader = (term: number): Leader => {
    const selector = createSelector(knobs.selector, { random, locality: { processMs: 50, nodeMs: 50 } });
    const state = new DispatcherState({
      selector,
      newOrder: orderFactory(knobs.order),
      leaseMs: knobs.leaseMs,
      maxLeases: knobs.maxLeases,
      resendAfterMs: 200,
      queueDepth: 2,
      queueMs: knobs.queueMs,
      term,
      random,
      health: knobs.excludes && { maxFailures: 2, excludeMs: 500 },
    });
    const checker = new InvariantChecker({
      queueDepth: selector.queueDepth ?? 2,
      shortMs: selector.queueDepth === undefined ? knobs.queueMs / 2 : 0,
      term,
      copies: knobs.speculates,
      verifies: knobs.verifies,
      mayRun: (application, id) => !knobs.places || application !== 'app-2' || zoneOf(id) === 'b',
    });
    const started: Leader = { term, state, machine: wrap(state), checker };
    for (const profile of profiles) handle({ type: 'application', profile }, started);
    return started;
  };

  /** Delivers a message never, once or twice, each time after a delay of its own. */
  const network = (deliver: () => void): void => {
    if (faulty() && random() < knobs.drop) return;
    const copies = faulty() && random() < knobs.repeat ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const slow = faulty() && random() < knobs.slow;
      agenda.in(slow ? random() * 3 * knobs.leaseMs : 0.1 + random() * knobs.delayMs, deliver);
    }
  };

  const handle = (untimed: Distribute<DispatcherEvent>, by: Leader | undefined = leader): void => {
    // Nobody leads: what is said is lost.
    if (by === undefined) return;
    const event = untimed as DispatcherEvent & { now: number };
    event.now = agenda.now + clockAhead;
    sums.events++;
    let effects: DispatcherEffect[] = [];
    try {
      effects = by.machine.handle(event);
    } catch (error) {
      violations.push(`handle threw: ${(error as Error).stack}`);
    }
    if (traces && (event.type !== 'tick' || effects.length > 0)) log(() => `${by === zombie ? 'zombie ' : ''}${describe(event)}`);
    by.checker.observe(event, effects, by.machine.live);
    for (const violation of by.checker.violations.splice(0)) violations.push(`term ${by.term}: ${violation}`);
    for (const effect of effects) {
      log(() => `   -> ${describe(effect)}`);
      carryOut(effect, by);
    }
  };

  const carryOut = (effect: DispatcherEffect, by: Leader): void => {
    switch (effect.type) {
      case 'send':
      case 'cancelOnWorker': {
        const messages: ToWorker[] =
          effect.type === 'send'
            ? [...effect.blobs.map((hash) => ({ type: 'blob', hash }) as const), ...effect.tasks.map((leased) => ({ type: 'task', leased }) as const)]
            : [{ type: 'cancel', key: `${effect.application}/${effect.taskId}@${effect.epoch}` }];
        for (const message of messages) network(() => workers.get(effect.workerId)?.receive(message, by.term));
        return;
      }
      case 'report':
        if (effect.update.state !== 'RUNNING') toApplication(by, `${effect.application}/${effect.update.taskId}`, effect.update);
        return;
      case 'handBack':
        for (const one of effect.tasks) toApplication(by, `${effect.application}/${one.taskId}`, undefined);
        return;
      case 'note': {
        const { note } = effect;
        if (note.what === 'excluded') sums.excluded++;
        if (note.what !== 'parked' || !note.task.held) return;
        // The operator looks at it after a while.
        const { application, taskId } = note.task;
        const command = random() < 0.7 ? 'retry' : 'drop';
        agenda.in(random() * 1000, () => handle({ type: 'parked', application, taskId, command }));
        return;
      }
      default:
    }
  };

  /** An end is told; it is lost when its leader crashes on the way, and refused from one that leads no more. */
  const toApplication = (by: Leader, key: string, update: StatusUpdate | undefined): void => {
    agenda.in(random() * 5, () => {
      if (by !== leader || ended.has(key)) return;
      ended.add(key);
      unfinished.delete(key);
      if (update?.state !== 'FINISHED') return;
      sums.finished++;
      const taskId = Number(key.split('/')[1]);
      const isRight = Buffer.compare(update.data, rightResult(taskId)) === 0;
      if (!isRight && knobs.verifies && key.startsWith('app-1/')) violations.push(`${key} was committed with a wrong result`);
    });
  };

  /** What a worker says of tasks goes out in frames, as the real one's does. */
  const frames = new Map<string, LeasedStatus[]>();
  const say = (workerId: string, { application, epoch, taskId, state, data, runMs }: FromWorker & { type: 'status' }): void => {
    const status = { application, epoch, update: { taskId, state, executorId: workerId, data, runMs } };
    const frame = frames.get(workerId);
    if (frame !== undefined) {
      frame.push(status);
      return;
    }
    frames.set(workerId, [status]);
    agenda.in(random() * 3, () => {
      const statuses = frames.get(workerId) as LeasedStatus[];
      frames.delete(workerId);
      network(() => {
        for (const by of zombie !== undefined && random() < 0.5 ? [leader, zombie] : [leader]) handle({ type: 'status', workerId, statuses }, by);
      });
    });
  };

  const fromWorker = (worker: SimulatedWorker, message: FromWorker): void => {
    if (message.type === 'status') return say(worker.id, message);
    network(() => {
      for (const by of zombie !== undefined && random() < 0.5 ? [leader, zombie] : [leader]) {
        switch (message.type) {
          case 'missing':
            handle({ type: 'blobMissing', workerId: worker.id, hash: message.hash }, by);
            break;
          case 'beat': {
            const { load, holding } = message;
            if (by === zombie && by !== undefined) {
              handle({ type: 'workerBeat', workerId: worker.id, load }, by);
              break;
            }
            const known = registered.get(worker.id);
            registered.set(worker.id, { slots: worker.slots, lastBeat: agenda.now });
            if (known !== undefined) handle({ type: 'workerBeat', workerId: worker.id, load, holding });
            else handle({ type: 'workerJoined', worker: registration(worker.id, { slots: worker.slots, labels: { zone: zoneOf(worker.id) } }), load, holding });
            break;
          }
        }
      }
    });
  };

  const leave = (id: string, reason: string): void => {
    if (registered.delete(id)) handle({ type: 'workerLeft', workerId: id, reason });
  };

  const startWorker = (place: number, life: number): void => {
    const slots = 1 + Math.floor(random() * 3);
    const worker = new SimulatedWorker(`w${place}.${life}`, slots, knobs.lies && place === 0, {
      in: (ms, run) => agenda.in(ms, run),
      random,
      send: (message) => fromWorker(worker, message),
      ran: () => void ranTotal++,
    });
    workers.set(worker.id, worker);
    log(() => `${worker.id} starts with ${slots} slots`);
    const end = (how: string): void => {
      if (worker.dead) return;
      worker.dead = true;
      log(() => `${worker.id} ${how}`);
      workers.delete(worker.id);
      agenda.in(50 + random() * 500, () => startWorker(place, life + 1));
    };
    const live = (): void => {
      if (worker.dead || done) return;
      worker.beat(leader?.term ?? 0);
      if (worker.draining && worker.idle) {
        agenda.in(random() * knobs.delayMs, () => leave(worker.id, 'left'));
        return end('has drained');
      }
      if (faulty() && random() < knobs.crash) return end('crashes');
      if (faulty() && random() < knobs.pause) {
        const ms = random() * 3 * knobs.leaseMs;
        log(() => `${worker.id} is paused for ${ms.toFixed(0)} ms`);
        worker.pause(ms);
      }
      if (faulty() && !worker.draining && random() < knobs.drain) {
        log(() => `${worker.id} drains`);
        worker.drain();
      }
      if (faulty() && random() < knobs.drains) {
        handle({ type: 'drain', workerId: worker.id, drain: true });
        agenda.in(random() * 500, () => handle({ type: 'drain', workerId: worker.id, drain: false }));
      }
      agenda.in(BEAT_MS, live);
    };
    live();
  };

  const tick = (): void => {
    for (const [id, { lastBeat }] of registered) if (agenda.now - lastBeat > knobs.ttlMs) leave(id, 'expired');
    if (faulty() && random() < knobs.clockJumps) clockAhead += random() < 0.5 ? random() * knobs.leaseMs : HOUR_MS;
    handle({ type: 'tick' });
    if (zombie !== undefined) handle({ type: 'tick' }, zombie);
    // Stops when all is done, so that most seeds are short.
    if (faulty() || ((unfinished.size > 0 || (leader?.machine.live ?? 0) > 0) && agenda.now < END_MS)) agenda.in(TICK_MS, tick);
    else done = true;
  };

  /** The leader crashes, or is cut off; after a while another begins, and the applications submit again what they wait for. */
  const takeover = (): void => {
    if (leader === undefined) return;
    const { term } = leader;
    log(() => `the leader of term ${term} ${knobs.zombies ? 'is cut off' : 'crashes'}`);
    account(leader);
    zombie = knobs.zombies ? leader : undefined;
    leader = undefined;
    agenda.in(20 + random() * 300, () => {
      sums.takeovers++;
      registered.clear();
      leader = startLeader(term + 1);
      log(() => `a leader of term ${term + 1} begins`);
      for (const { application } of profiles) {
        agenda.in(random() * 200, () => {
          const submissions = [...unfinished.values()].filter((one) => one.application === application);
          sums.resubmitted += submissions.length;
          if (submissions.length > 0) handle({ type: 'submit', submissions });
        });
      }
    });
    agenda.in(2000, () => (zombie = undefined));
  };

  const account = ({ state, checker }: Leader): void => {
    const { workers: _workers, failed: _failed, finished: _finished, ...stats } = state.stats();
    for (const [name, count] of Object.entries(stats) as [keyof typeof NO_SUMS, number][]) sums[name] += count;
    sums.resent += state.repeats.resent;
    sums.queuedDeep += checker.queuedDeep;
  };

  leader = startLeader(knobs.takeovers > 0 ? 1 : 0);
  for (let place = 0; place < knobs.workers; place++) agenda.in(random() * 100, () => startWorker(place, 0));
  for (let i = 0; i < knobs.takeovers; i++) agenda.in(500 + random() * FAULTS_END_MS * 0.8, takeover);
  for (let i = 0; i < knobs.tasks;) {
    const batch = Math.min(knobs.tasks - i, 1 + Math.floor(random() * 12));
    const from = i;
    const { application } = profiles[random() < 0.7 ? 0 : 1] as { application: string };
    agenda.in(random() * FAULTS_END_MS * 0.8, () => {
      const submissions = Array.from({ length: batch }, (_, j) => ({
        application,
        task: taskOf(from + j, { stageId: (from + j) % 4, commons: [`stage-${(from + j) % 3}`], preferredLocations: (from + j) % 5 === 0 ? ['w1.0'] : [] }),
      }));
      for (const one of submissions) unfinished.set(`${application}/${one.task.taskId}`, one);
      handle({
        type: 'stages',
        application,
        stages: [{ stageId: from % 4, parents: from % 4 === 0 ? [] : [(from % 4) - 1], tasksRemaining: 1 + (from % 7), meanMs: 30 }],
      });
      handle({ type: 'submit', submissions });
      for (const submission of submissions) {
        const { taskId } = submission.task;
        if (random() < knobs.cancel) agenda.in(random() * 300, () => handle({ type: 'cancel', application, taskId, reason: 'simulated' }));
      }
    });
    i += batch;
  }
  if (knobs.endsApplication) {
    agenda.in(FAULTS_END_MS * 0.9, () => {
      handle({ type: 'cancelApplication', application: 'app-2', reason: 'it has ended' });
      // And begins again under the same name, for the batches to come.
      for (const profile of profiles.slice(1)) handle({ type: 'application', profile });
    });
  }
  tick();
  while (!done && violations.length === 0 && agenda.step());

  if (violations.length === 0) for (const key of unfinished.keys()) violations.push(`${key} has not ended by the end`);
  const last = leader as Leader | undefined;
  if (last !== undefined) {
    account(last);
    const { submitted, finished, failed, handedBack } = last.state.stats();
    if (violations.length === 0 && finished + failed + handedBack !== submitted)
      violations.push(`${submitted} were submitted, ${finished + failed + handedBack} are accounted for`);
  }
  sums.wasted = ranTotal - sums.finished;
  return { seed, violations: violations.slice(0, 20), trace, sums };
}

/** Most are of a stage; the others are calls of their own. */
function taskOf(taskId: number, over: Partial<TaskDescription>): TaskDescription {
  const one = task(taskId, over);
  return taskId % 7 === 0 ? one : new StageTask(one);
}

/** Worker `w0.3` is of place 0, and lives in zone b like all of even places. */
function zoneOf(workerId: string): string {
  return Number(workerId.slice(1).split('.')[0]) % 2 === 0 ? 'b' : 'a';
}
