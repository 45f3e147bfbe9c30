import { Redis, type RedisOptions } from 'ioredis';
import { createHash } from 'node:crypto';
import { transportErrors } from '../errors.ts';
import type { Session } from '../reconnector.ts';
import { isTlsError, tlsConnectOptions } from '../tls.ts';
import type { BrokerAddress, BrokerClientSettings } from '../settings.ts';
import { PartsCommand } from './parts-command.ts';
import { BROKER_SCRIPT, DIRECT_ACK_SCRIPT } from './script.ts';
import { sendAddition, type Addition } from './transaction.ts';

const sha = (script: string): string => createHash('sha1').update(script).digest('hex');
const SCRIPT_SHA = sha(BROKER_SCRIPT);
const DIRECT_ACK_SHA = sha(DIRECT_ACK_SCRIPT);

export type ScriptArgument = string | number | Uint8Array;

/** A connection as the server knows it. The address tells it from one of the same number after the server was started again. */
export interface ConnectionIdentity {
  readonly id: string;
  readonly address: string;
}

/**
 * One connection to Redis, used once: when it ends another is made. ioredis connects, frames and parses; that it would connect
 * again and send again by itself is turned off, since only the transport knows what may be sent twice.
 *
 * Commands and publications share the connection (RESP3), so what a script publishes and answers arrives in one order.
 */
export class RedisConnection implements Session {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #ttl: string;
  /** Rejected when the connection ends: ioredis may leave them pending for ever. */
  readonly #pending = new Set<(error: Error) => void>();
  #ended: Error | undefined;
  /** Which data of the broker this connection knows. */
  incarnation = '';
  /** Undefined where connections may not be killed (an old server, a user without the permission). */
  identity: ConnectionIdentity | undefined;

  constructor(redis: Redis, prefix: string, idleMs: number) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#ttl = String(idleMs);
  }

  /** Calls the broker's script. @throws SP_TRANSPORT_LOST and replies that are errors */
  script(op: string, ...args: readonly ScriptArgument[]): Promise<unknown> {
    return this.command('evalsha', SCRIPT_SHA, 0, op, this.#prefix, this.incarnation, this.#ttl, ...args);
  }

  /** Calls the script for what is acknowledged by a consumer that reads by itself. False: that is not so, or there is more to do. */
  async directAck(...args: readonly ScriptArgument[]): Promise<boolean> {
    return (await this.command('evalsha', DIRECT_ACK_SHA, 0, this.#prefix, ...args)) !== -1;
  }

  command(name: string, ...args: readonly ScriptArgument[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#pending.add(reject);
      const raw = args.map((each) => (typeof each === 'object' && !Buffer.isBuffer(each) ? Buffer.from(each.buffer, each.byteOffset, each.byteLength) : each));
      (this.#redis.sendCommand(new PartsCommand(name, raw, { replyEncoding: null })) as Promise<unknown>).then(
        (value) => {
          this.#pending.delete(reject);
          resolve(value);
        },
        (error: Error) => {
          this.#pending.delete(reject);
          reject(error);
        },
      );
    });
  }

  /** Adds frames to a stream by plain commands. @throws SP_TRANSPORT_LOST and replies that are errors */
  add(addition: Addition): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#pending.add(reject);
      sendAddition(this.#redis, addition, (error) => {
        this.#pending.delete(reject);
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  /** Finds out who it is. */
  async identify(): Promise<void> {
    try {
      const [, id, address] = /^id=(\d+) addr=(\S+)/.exec(String(await this.command('client', 'info'))) ?? [];
      if (id === undefined || address === undefined) return;
      // These do nothing: may they?
      await Promise.all([this.command('client', 'kill', 'id', id, 'addr', '0.0.0.0:0'), this.command('multi'), this.command('exec')]);
      this.identity = { id, address };
    } catch (error) {
      if (isLost(error)) throw error;
    }
  }

  /** What another connection has written and the server has not read is never read once this has been answered. */
  async kill({ id, address }: ConnectionIdentity): Promise<void> {
    await this.command('client', 'kill', 'id', id, 'addr', address);
  }

  async subscribe(channel: string): Promise<void> {
    await this.command('subscribe', channel);
  }

  async unsubscribe(channel: string): Promise<void> {
    await this.command('unsubscribe', channel);
  }

  onMessage(listener: (channel: string, message: Buffer) => void): void {
    this.#redis.on('messageBuffer', (channel: Buffer, message: Buffer) => listener(channel.toString(), message));
  }

  /** Ends what is pending; returns why, which is what was said first. */
  fail(error: Error): Error {
    this.#ended ??= error;
    for (const reject of this.#pending) reject(this.#ended);
    this.#pending.clear();
    return this.#ended;
  }

  async end(): Promise<void> {
    this.destroy();
  }

  /** Ends it as if it had been lost. */
  abort(reason: Error): void {
    this.fail(reason);
    this.#redis.disconnect();
  }

  destroy(): void {
    this.fail(transportErrors.LOST({ url: 'redis', reason: 'it was closed' }));
    this.#redis.disconnect();
  }
}

/** What an error of Redis or of the socket means to a user. */
export function redisError(error: Error, url: string): Error {
  const { message } = error;
  if (/^(WRONGPASS|NOAUTH|NOPERM)|invalid (username|password)|AUTH <password>|without any password configured/i.test(message))
    return transportErrors.AUTHENTICATION({ url, reason: message }, error);
  if (isTlsError(error)) return transportErrors.TLS({ url, reason: message }, error);
  if (/^(OOM|MISCONF|NOREPLICAS|READONLY)/.test(message)) return transportErrors.BROKER_FULL({ url, reason: message }, error);
  return error;
}

/** It ended with its connection. */
export function isLost(error: unknown): boolean {
  const { code, message } = error as { code?: string; message: string };
  return code === 'SP_TRANSPORT_LOST' || code === 'SP_TRANSPORT_DISCONNECTED' || /^Connection is closed|^Stream isn't writeable/.test(message);
}

/** What a connection knows is no longer so: everything begins anew on another. */
export function isStale({ message }: Error): boolean {
  return /^(SPFLUSHED|SPEXPIRED|NOSCRIPT)/.test(message);
}

/**
 * One attempt to connect.
 * @param lost called once when the connection ends by itself after this resolved
 */
export async function connectRedis(address: BrokerAddress, settings: BrokerClientSettings, lost: (reason: Error) => void): Promise<RedisConnection> {
  const { host, port, username, password, path, cluster, shown } = address;
  const secure = shown.startsWith('rediss:');
  const options: RedisOptions = {
    host,
    port,
    db: path === '' ? 0 : Number(path),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(secure ? { tls: tlsConnectOptions(settings.tls, host) } : {}),
    protocol: 3,
    lazyConnect: true,
    connectTimeout: settings.connectTimeoutMs,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    disableClientInfo: true,
    connectionName: 'spark-proxy',
    retryStrategy: () => null,
    keepAlive: 10_000,
  };
  const redis = new Redis(options as Omit<RedisOptions, 'replyMapping'>);
  let last: Error | undefined;
  redis.on('error', (error: Error) => (last = error));
  const connection = new RedisConnection(redis, `spark-proxy:${cluster}:`, settings.idleQueueMs);
  try {
    await redis.connect();
    // Only its user decides whether the transport keeps the process alive.
    redis.stream.unref();
    if (last !== undefined) throw last;
    await Promise.all([...[BROKER_SCRIPT, DIRECT_ACK_SCRIPT].map((script) => connection.command('script', 'load', script)), connection.identify()]);
  } catch (error) {
    redis.disconnect();
    throw redisError(last ?? (error as Error), shown);
  }
  redis.on('close', () => {
    const reason = transportErrors.LOST({ url: shown, reason: last?.message ?? 'the server closed it' }, last);
    lost(connection.fail(reason));
  });
  return connection;
}
