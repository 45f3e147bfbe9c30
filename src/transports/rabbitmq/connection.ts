import { connect, credentials, type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib';
import { createHash } from 'node:crypto';
import { transportErrors } from '../errors.ts';
import type { Session } from '../reconnector.ts';
import type { BrokerAddress, BrokerClientSettings } from '../settings.ts';
import { isTlsError, tlsConnectOptions } from '../tls.ts';
import { internalsOf, readInPlace, writeTogether } from './socket.ts';

/** A goodbye may take this long, milliseconds. */
export const GOODBYE_MS = 2000;
/** AMQP's limit for names, bytes. */
const MAX_NAME_BYTES = 255;

/** What an error of RabbitMQ or of the socket means to a user. */
export function rabbitError(error: Error, url: string): Error {
  const { message } = error;
  if (/ACCESS.REFUSED|NOT.ALLOWED|\b403\b|access to vhost/i.test(message)) return transportErrors.AUTHENTICATION({ url, reason: message }, error);
  if (isTlsError(error)) return transportErrors.TLS({ url, reason: message }, error);
  return error;
}

/** Names of everything of a cluster in the broker; names it cannot have (too long, with control characters) are told by their hash. */
export class Names {
  readonly #prefix: string;
  readonly exchange: string;

  constructor(cluster: string) {
    this.#prefix = `spark-proxy:${cluster}:`;
    this.exchange = `${this.#prefix}topics`;
  }

  queue(name: string): string {
    return this.#short(`${this.#prefix}q:`, name);
  }

  /** Routing key of a topic. */
  topic(name: string): string {
    return this.#short('t:', name);
  }

  /** Queue of the pieces of one large body. */
  large(reference: string): string {
    return `${this.#prefix}l:${reference}`;
  }

  #short(prefix: string, name: string): string {
    const full = prefix + name;
    // RabbitMQ drops line breaks out of the names of queues it is asked for.
    // oxlint-disable-next-line no-control-regex
    const isPlain = Buffer.byteLength(full) <= MAX_NAME_BYTES && !/[\u0000-\u001f\u007f]/.test(full);
    return isPlain ? full : `${prefix}#${createHash('sha256').update(name).digest('hex')}`;
  }
}

/** One AMQP connection. Neither socket nor timers keep the process alive. */
export async function openModel(address: BrokerAddress, settings: BrokerClientSettings, purpose: string): Promise<ChannelModel> {
  const { host, port, username = 'guest', password = 'guest', path, shown } = address;
  const secure = shown.startsWith('amqps:');
  const { heartbeatMs, missedBeats, connectTimeoutMs, tls } = settings;
  let model: ChannelModel;
  try {
    model = await connect(
      {
        protocol: secure ? 'amqps' : 'amqp',
        hostname: host,
        port,
        vhost: path === '' ? '/' : path,
        // Both sides take the other for dead after two silent intervals. It counts here, not among the socket's options.
        heartbeat: Math.max(1, Math.ceil((heartbeatMs * missedBeats) / 2000)),
      },
      {
        // amqplib leaves Nagle's algorithm on, which costs 40 ms a round trip.
        noDelay: true,
        timeout: connectTimeoutMs,
        credentials: credentials.plain(username, password),
        clientProperties: { connection_name: `spark-proxy ${purpose}` },
        ...(secure ? tlsConnectOptions(tls, host) : {}),
      },
    );
  } catch (error) {
    // amqplib does not tell what the server said at this step. It may pass: a server that starts says the same of a host it has not opened yet.
    if (/Expected ConnectionOpenOk/.test((error as Error).message)) {
      const reason = `it refused the virtual host ${path === '' ? '/' : path}: there is none of this name, or user ${username} may not use it`;
      throw transportErrors.LOST({ url: shown, reason }, error);
    }
    throw rabbitError(error as Error, shown);
  }
  model.on('error', () => undefined);
  const internals = internalsOf(model);
  const { stream, heartbeater } = internals;
  stream.unref();
  writeTogether(internals);
  readInPlace(internals);
  heartbeater?.sendTimer.unref();
  heartbeater?.recvTimer.unref();
  return model;
}

export function destroyModel(model: ChannelModel): void {
  internalsOf(model).stream.destroy();
}

/** Waits no longer than that. */
export async function withinMs(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

/** Ends in good order, or, when the broker does not answer, at once. */
export async function endModel(model: ChannelModel): Promise<void> {
  await withinMs(
    GOODBYE_MS,
    model.close().catch(() => undefined),
  );
  destroyModel(model);
}

/**
 * The two connections of a transport: a broker in need blocks those that publish, and must not block acknowledgements with
 * them. Either lost, both are made again.
 */
export class RabbitSession implements Session {
  /** Undefined: it takes what is published. */
  blocked: Error | undefined;
  readonly publisher: ChannelModel;
  readonly consumer: ChannelModel;
  /** Frames. */
  readonly frames: ConfirmChannel;
  /** Broadcasts. */
  readonly casts: Channel;
  /** Declarations. */
  readonly admin: Channel;
  /** Topics this process listens to. */
  readonly inbox: Channel;
  inboxQueue = '';
  #ended = false;

  private constructor(models: readonly [ChannelModel, ChannelModel], channels: readonly [ConfirmChannel, Channel, Channel, Channel]) {
    [this.publisher, this.consumer] = models;
    [this.frames, this.casts, this.admin, this.inbox] = channels;
  }

  /** @param lost called once when it ends by itself */
  static async open(address: BrokerAddress, settings: BrokerClientSettings, lost: (reason: Error) => void): Promise<RabbitSession> {
    const publisher = await openModel(address, settings, 'publisher');
    let consumer: ChannelModel | undefined;
    try {
      consumer = await openModel(address, settings, 'consumer');
      const channels = await Promise.all([publisher.createConfirmChannel(), publisher.createChannel(), consumer.createChannel(), consumer.createChannel()]);
      const session = new RabbitSession([publisher, consumer], channels);
      session.#watch(address.shown, lost);
      return session;
    } catch (error) {
      destroyModel(publisher);
      if (consumer !== undefined) destroyModel(consumer);
      throw rabbitError(error as Error, address.shown);
    }
  }

  get ended(): boolean {
    return this.#ended;
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await Promise.all([endModel(this.consumer), endModel(this.publisher)]);
  }

  destroy(): void {
    this.#ended = true;
    destroyModel(this.publisher);
    destroyModel(this.consumer);
  }

  #watch(url: string, lost: (reason: Error) => void): void {
    const end = (cause?: Error): void => {
      if (this.#ended) return;
      this.destroy();
      lost(transportErrors.LOST({ url, reason: cause?.message ?? 'the server closed it' }, cause));
    };
    for (const model of [this.publisher, this.consumer]) {
      model.on('error', end);
      model.on('close', end);
    }
    for (const channel of [this.frames, this.casts, this.admin, this.inbox]) {
      channel.on('error', end);
      channel.on('close', () => end());
    }
  }
}
