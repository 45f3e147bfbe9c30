import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dispatchPeers } from '../support/peers.ts';
import { compare, rounded, type BenchOptions, type Row } from '../support/row.ts';

/*
 * What a call costs whose advice sends it to a worker process over tcp: against the call itself, and against a thread of a pool, which is
 * nearer, but in the same process, on the same machine, and loses its tasks when it dies.
 */
const OFFLOADED = 'offloaded over tcp';
/** Many short calls: a worker is sent more of them ahead. */
const DEEP = 'offloaded over tcp, dispatch.queue.depth=16';
const DIRECT = 'direct, awaited';
const POOL = 'peer: piscina, one thread';

interface Sample {
  readonly one: number;
  readonly many: number;
}

async function sample(way: string, ms: number): Promise<Sample> {
  const program = fileURLToPath(new URL('./programs/offload.ts', import.meta.url));
  const preload = new URL('../../src/register.ts', import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, [...(way.startsWith('offload') ? ['--import', preload] : []), program, way, String(ms)]);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Sample;
}

export async function offloading({ quick }: BenchOptions): Promise<Row[]> {
  const peers = await dispatchPeers();
  const rounds = quick ? 1 : 3;
  const least = new Map<string, Sample>();
  for (let round = 0; round < rounds; round++)
    for (const [name, way] of [
      [DIRECT, 'direct'],
      [POOL, 'piscina'],
      [OFFLOADED, 'offload'],
      [DEEP, 'offload-deep'],
    ] as const) {
      if (way === 'piscina' && 'missing' in peers) continue;
      const [known, taken] = [least.get(name), await sample(way, quick ? 500 : 1500)];
      least.set(name, { one: Math.min(known?.one ?? Infinity, taken.one), many: Math.min(known?.many ?? Infinity, taken.many) });
    }
  const missing = 'missing' in peers ? peers.missing : undefined;
  return (['one', 'many'] as const).flatMap((which): Row[] => {
    const row = (name: string): Row => ({ bench: 'weaving', case: `${name}, ${which === 'one' ? '1' : '64'} at a time`, unit: 'us/call' });
    const value = (name: string): number | undefined => least.get(name)?.[which];
    const pool = value(POOL);
    return [
      { ...row(DIRECT), value: rounded(value(DIRECT)!) },
      pool === undefined ? { ...row(POOL), missing } : { ...row(POOL), value: rounded(pool) },
      ...(which === 'one' ? [OFFLOADED] : [OFFLOADED, DEEP]).flatMap((name) => {
        const ours = { ...row(name), value: rounded(value(name)!) };
        const compared = [DIRECT, ...(pool === undefined ? [] : [POOL])];
        return compared.map((other) => ({ ...ours, ...compare(value(name)!, value(other)!, other) }));
      }),
    ];
  });
}
