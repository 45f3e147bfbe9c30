import { loadConfiguration, type Configuration } from '../core/config.ts';
import { atMost, systemClock } from '../core/clock.ts';
import { errorFromWire } from '../core/errors.ts';
import { newId } from '../core/ids.ts';
import { setLogLevel } from '../core/logger.ts';
import { applicationsQueue } from '../dispatcher/gateway.ts';
import { ADMIN_MESSAGE, decodeAdminReply, encodeAdminRequest, type AdminAnswer, type AdminAsk, type AdminQuestion } from '../protocol/admin.ts';
import { envelopeFactory } from '../protocol/batch.ts';
import { createRegisterCenter } from '../registry/index.ts';
import { LeaderTracker, type Leader } from '../registry/leader.ts';
import { connectConfigured } from '../security/index.ts';
import { transportUrlOf } from '../transports/index.ts';
import { parseSettings } from './command.ts';
import { CLI_ERRORS } from './errors.ts';

/** Options of every command that asks a dispatcher. */
export const ADMIN_OPTIONS = {
  url: { type: 'string' },
  json: { type: 'boolean' },
  conf: { type: 'string', multiple: true },
} as const;

export const ADMIN_HELP = `      --url URL        where the dispatcher is found (transport.url)
      --json           the answer as JSON, for programs
      --conf KEY=VALUE any setting (see spark-proxy conf); may be repeated
`;

/** One try to connect, and the wait for an answer of a dispatcher that leads, milliseconds. */
const CONNECT_MS = 3000;
const ANSWER_MS = 10_000;
const CLOSE_MS = 1000;

/** They change nothing: when the dispatcher that was asked leads no more, the next one is asked. */
const READS: ReadonlySet<AdminQuestion> = new Set<AdminQuestion>(['status', 'tasks', 'apps']);

/** Instead of an answer: the dispatcher that was asked leads no more. */
const UNHEARD = Symbol('unheard');

interface Asked {
  readonly leader: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface AdminClient {
  readonly url: string;
  /** @throws SP_CLI_NO_ANSWER, SP_CLI_NO_DISPATCHER, SP_CLI_LEADS_NO_MORE, and what the dispatcher answers */
  ask<Q extends AdminQuestion>(question: Q, ask: AdminAsk<Q>): Promise<AdminAnswer<Q>>;
  close(): Promise<void>;
}

export interface AdminValues {
  readonly url?: string | undefined;
  readonly conf?: string[] | undefined;
}

function configurationOf(command: string, values: AdminValues): Configuration {
  const flags = new Map(parseSettings(command, values.conf ?? []));
  if (values.url !== undefined) flags.set('transport.url', values.url);
  return loadConfiguration({ flags });
}

async function within<T>(ms: number, promise: Promise<T>, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Connects to the cluster as an operator. @throws SP_CLI_USAGE, SP_TRANSPORT_CONNECT_FAILED */
export async function connectAdmin(command: string, values: AdminValues): Promise<AdminClient> {
  const configuration = configurationOf(command, values);
  setLogLevel(configuration.get('log.level'));
  const url = transportUrlOf(configuration);
  if (url === undefined) throw CLI_ERRORS.USAGE({ command, reason: 'no --url is given, and neither transport.url nor redis.host is set' });
  const beatMs = configuration.get('registry.beat');
  const transport = await connectConfigured(url, configuration, { role: 'client', connectTimeoutMs: CONNECT_MS });
  const ttlMs = configuration.get('registry.ttl');
  // A leader that died is known to be gone after `ttlMs`, and the next one within a beat or two.
  const takeoverMs = Math.max(ttlMs + 2 * beatMs, 2000);
  const registry = createRegisterCenter(transport, { beatMs, ttlMs });
  const id = newId('operator');
  const queue = `operator.${id}`;
  const envelope = envelopeFactory(id, queue);
  const waiting = new Map<string, Asked>();
  const looking = new Set<() => void>();
  const leaders = new LeaderTracker({
    onChange(leader) {
      for (const look of looking) look();
      // Whoever was asked and leads no more will not answer.
      for (const { leader: asked, resolve } of waiting.values()) if (asked !== leader?.id) resolve(UNHEARD);
    },
  });
  let next = 0;

  const leading = async (deadline: number): Promise<Leader> => {
    while (leaders.current === undefined) {
      let look: () => void = () => undefined;
      const changed = new Promise<void>((resolve) => (look = resolve));
      looking.add(look);
      try {
        await within(deadline - performance.now(), changed, () => CLI_ERRORS.NO_DISPATCHER({ url: transport.url }));
      } finally {
        looking.delete(look);
      }
    }
    return leaders.current;
  };
  const askOf = async (leader: Leader, question: AdminQuestion, ask: AdminAsk, ms: number, late: () => Error): Promise<unknown> => {
    const request = String(next++);
    const answered = new Promise<unknown>((resolve, reject) => waiting.set(request, { leader: leader.id, resolve, reject }));
    try {
      const sent = transport.send(applicationsQueue(leader.queue), envelope(ADMIN_MESSAGE.request, encodeAdminRequest(request, question, ask)));
      // The answer may come before the broker confirms the question, and the leader may change before it has left.
      return await within(ms, Promise.race([answered, sent.then(() => answered)]), late);
    } finally {
      waiting.delete(request);
    }
  };

  // An idle connection would not keep this process alive until it is closed.
  transport.setActive(true);
  try {
    await transport.consume(queue, {}, (delivery) => {
      delivery.ack();
      if (delivery.envelope.type !== ADMIN_MESSAGE.reply) return;
      const reply = decodeAdminReply(delivery.envelope.body);
      const request = waiting.get(reply.id);
      if (reply.error === undefined) request?.resolve(reply.answer);
      else request?.reject(errorFromWire(reply.error));
    });
    await registry.watch('dispatcher', (event) => leaders.handle(event));
  } catch (error) {
    await registry.close();
    await transport.close();
    throw error;
  }

  return {
    url: transport.url,
    async ask<Q extends AdminQuestion>(question: Q, ask: AdminAsk<Q>) {
      let leader = await leading(performance.now() + takeoverMs);
      const answerMs = READS.has(question) ? ANSWER_MS + takeoverMs : ANSWER_MS;
      const deadline = performance.now() + answerMs;
      for (;;) {
        const { id: dispatcher } = leader;
        const answer = await askOf(leader, question, ask, deadline - performance.now(), () => CLI_ERRORS.NO_ANSWER({ dispatcher, ms: answerMs }));
        // Checked by the version of the message; fields of a newer dispatcher are shown as they are.
        if (answer !== UNHEARD) return answer as AdminAnswer<Q>;
        if (!READS.has(question)) throw CLI_ERRORS.LEADS_NO_MORE({ dispatcher });
        leader = await leading(deadline);
      }
    },
    async close() {
      // There may be nobody left to tell.
      await atMost(
        systemClock,
        CLOSE_MS,
        transport.deleteQueue(queue).catch(() => undefined),
      );
      await registry.close();
      await transport.close();
    },
  };
}

/** Asks one question. */
export async function askOnce<Q extends AdminQuestion>(command: string, values: AdminValues, question: Q, ask: AdminAsk<Q>): Promise<AdminAnswer<Q>> {
  const client = await connectAdmin(command, values);
  try {
    return await client.ask(question, ask);
  } finally {
    await client.close();
  }
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
