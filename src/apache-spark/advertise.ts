/**
 * Where agents find their dispatcher without knowing its address: one key in Redis, read by one plain GET.
 * `spark-proxy:<cluster>:dispatcher` holds `{"address":"host:port"}` and lives while somebody renews it.
 */
import { Redis } from 'ioredis';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';

export interface AdvertiseOptions {
  readonly host: string;
  readonly port: number;
  readonly password?: string | undefined;
  readonly db?: number;
  /** @defaultValue default */
  readonly cluster?: string;
  /** `host:port` as drivers reach it. */
  readonly address: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const RENEW_MS = 3000;
const TTL_MS = 10_000;
/** Deletes the key if it still is ours. */
const DELETE_OURS = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

/** The function ends it. It goes on trying while Redis is away. */
export async function advertiseDispatcher(options: AdvertiseOptions): Promise<() => Promise<void>> {
  const { host, port, password, db = 0, cluster = 'default', address, clock, logger } = options;
  const key = `spark-proxy:${cluster}:dispatcher`;
  const value = JSON.stringify({ address });
  const redis = new Redis({
    host,
    port,
    db,
    ...(password === undefined || password === '' ? {} : { password }),
    lazyConnect: true,
    commandTimeout: RENEW_MS,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    disableClientInfo: true,
    retryStrategy: (times) => Math.min(2000, 100 * times),
  });
  let told = '';
  const tell = (error: Error): void => {
    if (told === error.message) return;
    told = error.message;
    logger.warn('the address of the dispatcher cannot be told to Redis', { host, port, error: error.message });
  };
  redis.on('error', tell);
  const renew = async (): Promise<void> => {
    try {
      await redis.set(key, value, 'PX', TTL_MS);
      told = '';
    } catch (error) {
      tell(error as Error);
    }
  };
  try {
    await redis.connect();
  } catch (error) {
    tell(error as Error);
  }
  await renew();
  const renewing = clock.every(RENEW_MS, () => void renew());
  return async () => {
    renewing.cancel();
    try {
      await redis.eval(DELETE_OURS, 1, key, value);
    } catch (error) {
      logger.debug('while leaving', { error: (error as Error).message });
    }
    redis.disconnect();
  };
}
