import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy that can misbehave, for tests. */
export interface FaultProxy {
  readonly port: number;
  /** Connections that came in so far. */
  readonly accepted: number;
  /** Ends all connections now, without a goodbye. */
  cut(): void;
  /** Lets nothing through in either direction, and ends nothing: a half-open connection. */
  blackhole(on: boolean): void;
  /** Lets nothing come back from the server; what is sent to it arrives. */
  deafen(on: boolean): void;
  /** Ends every new connection at once. */
  refuse(on: boolean): void;
  /** Holds back each chunk for so long, milliseconds. */
  delay(ms: number): void;
  /** Cuts after so many more bytes towards the server. */
  cutAfter(bytes: number): void;
  close(): Promise<void>;
}

export async function faultProxy(targetPort: number): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let deaf = false;
  let [refusing, holed, delayMs, budget, accepted] = [false, false, 0, Number.POSITIVE_INFINITY, 0];
  const cut = (): void => {
    for (const socket of sockets) {
      // One that is being shut down cannot be reset (EINVAL), and would stay open for ever: Node does not close it then.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  const pipe = (from: Socket, to: Socket, upstream: boolean): void => {
    from.on('data', (chunk: Buffer) => {
      if (holed || (deaf && !upstream)) return;
      if (upstream && (budget -= chunk.length) < 0) {
        to.write(chunk.subarray(0, chunk.length + budget));
        budget = Number.POSITIVE_INFINITY;
        setImmediate(cut);
        return;
      }
      if (delayMs > 0) setTimeout(() => to.write(chunk), delayMs);
      else if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      if (!holed) to.destroy();
    });
    sockets.add(from);
  };
  const server = createServer({ noDelay: true }, (client) => {
    accepted++;
    if (refusing) return void client.resetAndDestroy();
    const upstream = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    pipe(client, upstream, true);
    pipe(upstream, client, false);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    cut,
    blackhole: (on) => (holed = on),
    deafen: (on) => (deaf = on),
    refuse: (on) => (refusing = on),
    delay: (ms) => (delayMs = ms),
    cutAfter: (bytes) => (budget = bytes),
    close: () =>
      new Promise((resolve) => {
        holed = false;
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
