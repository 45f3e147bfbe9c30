import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Transport } from '../../src/transports/contract.ts';
import { connectTransport } from '../../src/transports/index.ts';
import { envelope, reading } from '../conformance/transport.ts';

const child = new URL('./fixtures/child.ts', import.meta.url);

describe('a process with a transport', () => {
  let hub: Transport;
  const children: ChildProcess[] = [];

  const start = (...args: string[]): ChildProcess => {
    const process_ = fork(child, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.push(process_);
    return process_;
  };

  beforeEach(async () => {
    hub = await connectTransport('tcp://127.0.0.1:0', { role: 'hub' });
  });

  afterEach(async () => {
    for (const each of children.splice(0)) each.kill('SIGKILL');
    await hub.close();
  });

  it.each(['tcp', 'hub', 'memory'])('exits by itself when it is idle (%s)', async (kind) => {
    const [exit] = await once(start(kind, hub.url, 'idle'), 'exit');
    expect(exit).toBe(0);
  });

  it.each(['tcp', 'hub', 'memory'])('stays while the transport is active, and exits when it is idle again (%s)', async (kind) => {
    const process_ = start(kind, hub.url, 'active');
    expect((await once(process_, 'message'))[0]).toBe('still here');
    const exited = once(process_, 'exit');
    process_.send('go idle');
    expect((await exited)[0]).toBe(0);
  });

  it('gives the frames of a killed process to another one', async () => {
    const process_ = start('tcp', hub.url, 'hold');
    await hub.send('work', envelope('a'));
    await once(process_, 'message');
    const inbox = await reading(hub, 'work');
    process_.kill('SIGKILL');
    expect((await inbox.until(1))[0]!.redelivered).toBe(true);
  });
});
