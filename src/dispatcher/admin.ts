import {
  encodeAdminError,
  encodeAdminReply,
  decodeAdminRequest,
  ADMIN_MESSAGE,
  type AdminAsk,
  type AdminQuestion,
  type AdminAnswer,
  type ApplicationInfo,
  type ClusterStatus,
  type DispatcherInfo,
  type TaskInfo,
  type WorkerInfo,
} from '../protocol/admin.ts';
import type { SparkApplicationInfo } from '../protocol/spark-application.ts';
import type { Load, RegisterCenter, Registration } from '../registry/contract.ts';
import { LEADER_LABELS } from '../registry/leader.ts';
import type { Delivery } from '../transports/contract.ts';
import { dispatcherErrors } from './errors.ts';
import type { Gateway } from './gateway.ts';
import type { TaskHistory } from './history.ts';
import type { LocalDispatcher } from './local.ts';

interface Present {
  readonly entry: Registration;
  load: Load;
}

/** The applications of Apache Spark that this dispatcher serves; src/apache-spark has them. */
export interface SparkApplications {
  applications(): readonly SparkApplicationInfo[];
  /** SparkContext.stop. False: no such application is linked. */
  stop(application: string, reason: string): boolean;
  /** Of one application (false: no such one is linked), or of all. */
  setMode(mode: 'external' | 'internal', application?: string): boolean;
}

export interface AdminOptions {
  readonly registry: RegisterCenter;
  readonly dispatcher: LocalDispatcher;
  readonly history: TaskHistory;
  readonly gateway: () => Gateway;
  /** Undefined: it awaits no agents. */
  readonly spark: () => SparkApplications | undefined;
  readonly now: () => number;
}

const DEFAULT_TASKS = 100;

/** Answers operators: what the register center shows and the dispatcher does. */
export class Admin {
  readonly #options: AdminOptions;
  readonly #present = new Map<string, Present>();
  readonly #since: number;
  readonly #ends: (() => unknown)[] = [];
  readonly #handlers: { readonly [Q in AdminQuestion]: (ask: AdminAsk<Q>) => AdminAnswer<Q> } = {
    status: () => this.#status(),
    tasks: (ask) => ({ tasks: this.#tasks(ask) }),
    kill: ({ application, taskId }) => this.#kill(application, taskId),
    drain: ({ worker }) => {
      if (!this.#options.dispatcher.drainWorker(worker, 'an operator drains it')) throw dispatcherErrors.NO_SUCH({ what: 'worker', id: worker });
      return { worker };
    },
    retry: ({ application, taskId, drop }) => this.#retry(application, taskId, drop === true),
    apps: () => ({ applications: this.#options.spark()?.applications() ?? [] }),
    stop: ({ application }) => {
      if (this.#options.spark()?.stop(application, 'an operator stops it') !== true) throw noSpark(application);
      return { application };
    },
    destination: ({ destination, application }) => {
      if (this.#options.spark()?.setMode(destination, application) !== true) throw noSpark(application ?? '');
      return { destination };
    },
  };

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#since = options.now();
  }

  async open(): Promise<void> {
    for (const kind of ['dispatcher', 'worker', 'application'] as const) {
      this.#ends.push(
        await this.#options.registry.watch(kind, (event) => {
          if (event.type === 'joined') this.#present.set(event.entry.id, { entry: event.entry, load: event.load });
          else if (event.type === 'left') this.#present.delete(event.id);
          else {
            const known = this.#present.get(event.id);
            if (known !== undefined) known.load = event.load;
          }
        }),
      );
    }
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#present.clear();
  }

  answer(delivery: Delivery, reply: (type: string, body: Uint8Array) => void): void {
    const { id, question, ask } = decodeAdminRequest(delivery.envelope.body);
    let body: Uint8Array;
    try {
      body = encodeAdminReply(id, (this.#handlers[question] as (ask: AdminAsk) => AdminAnswer)(ask));
    } catch (error) {
      body = encodeAdminError(id, error);
    }
    reply(ADMIN_MESSAGE.reply, body);
  }

  #ofKind(kind: Registration['kind']): Present[] {
    return [...this.#present.values()].filter(({ entry }) => entry.kind === kind);
  }

  #status(): ClusterStatus {
    const { dispatcher, now } = this.#options;
    const stats = dispatcher.stats();
    const { submitted, finished, failed, retried, fenced, adopted, parked, handedBack } = stats;
    const known = new Map(stats.workers.map((worker) => [worker.id, worker]));
    const workers = this.#ofKind('worker').map(({ entry, load }): WorkerInfo => {
      const { id, host, pid, version, labels, kinds, slots } = entry;
      const seen = known.get(id);
      const state = seen?.excluded === true ? 'excluded' : load.draining || seen?.draining === true ? 'draining' : 'active';
      const { finished: done = 0, failed: bad = 0 } = seen ?? {};
      return { id, host, pid, version, labels, kinds, slots, running: load.running, queued: load.queued, finished: done, failed: bad, state };
    });
    for (const { id, host, pid, slots, finished: done, failed: bad, alive } of stats.workers) {
      if (alive || this.#present.has(id)) continue;
      workers.push({ id, host, pid, version: '', labels: {}, kinds: [], slots, running: 0, queued: 0, finished: done, failed: bad, state: 'lost' });
    }
    return {
      leader: dispatcher.id,
      term: dispatcher.term,
      upMs: Math.round(now() - this.#since),
      dispatchers: this.#ofKind('dispatcher').map(({ entry }) => dispatcherInfo(entry)),
      workers,
      applications: this.#ofKind('application').map(({ entry }) => this.#applicationInfo(entry)),
      tasks: { submitted, finished, failed, retried, fenced, adopted, parked, live: Math.max(0, submitted - finished - failed - handedBack) },
    };
  }

  #applicationInfo({ id, host, pid, version, labels }: Registration): ApplicationInfo {
    return { id, name: labels['name'] ?? '', host, pid, version, attached: this.#options.gateway().isAttached(id), ...this.#options.history.counts(id) };
  }

  #tasks({ application, parked, limit = DEFAULT_TASKS }: AdminAsk<'tasks'>): TaskInfo[] {
    const hosts = new Map(this.#options.dispatcher.stats().workers.map(({ id, host }) => [id, host]));
    const waiting = this.#options.dispatcher
      .parkedTasks()
      .filter((task) => application === undefined || task.application === application)
      .map((task): TaskInfo => {
        const story = task.leases.map(
          ({ workerId, epoch, startMs, endMs, why }) => `on ${workerId} (epoch ${epoch}) for ${Math.round((endMs ?? startMs) - startMs)} ms: ${why}`,
        );
        const worker = task.leases.at(-1)?.workerId ?? '';
        const ms = Math.round(task.parkedMs - (task.leases[0]?.startMs ?? task.parkedMs));
        const { application: owner, taskId, name } = task;
        return { application: owner, taskId, name, state: task.held ? 'PARKED' : 'FAILED', worker, host: hosts.get(worker) ?? '', ms, story: story.join('\n') };
      });
    if (parked === true) return waiting.slice(0, limit);
    return this.#options.history.tasks(limit, application).map((task) => ({ ...task, host: hosts.get(task.worker) ?? '' }));
  }

  #kill(application: string, taskId: number | undefined): { killed: number } {
    const gateway = this.#options.gateway();
    if (!gateway.isAttached(application)) throw dispatcherErrors.NO_SUCH({ what: 'attached application', id: application });
    const killed = gateway.kill(application, taskId, 'an operator killed it');
    if (taskId !== undefined && killed === 0) throw dispatcherErrors.NO_SUCH({ what: 'live task', id: `${application} ${taskId}` });
    return { killed };
  }

  #retry(application: string, taskId: number, drop: boolean): { taskId: number } {
    const { dispatcher } = this.#options;
    const held = dispatcher.parkedTasks().some((task) => task.held && task.application === application && task.taskId === taskId);
    if (!held) throw dispatcherErrors.NO_SUCH({ what: 'parked task', id: `${application} ${taskId}` });
    dispatcher.parked(application, taskId, drop ? 'drop' : 'retry');
    return { taskId };
  }
}

const noSpark = (id: string) => dispatcherErrors.NO_SUCH({ what: 'linked application of Apache Spark', id });

function dispatcherInfo({ id, host, pid, version, labels }: Registration): DispatcherInfo {
  const role = labels[LEADER_LABELS.role];
  return { id, role: role === 'leader' || role === 'standby' ? role : 'embedded', term: Number(labels[LEADER_LABELS.term] ?? 0) || 0, host, pid, version };
}
