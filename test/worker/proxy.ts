import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface FaultProxy {
  readonly port: number;
  /** Cuts all connections now; new ones are let through. */
  cut(): void;
  /** While frozen nothing passes, and nobody is told (a half-open connection). */
  freeze(frozen: boolean): void;
  close(): Promise<void>;
}

/** Stands between a client and a tcp server on this machine. */
export async function faultProxy(targetPort: number): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let frozen = false;
  const pipe = (from: Socket, to: Socket): void => {
    sockets.add(from);
    if (frozen) from.pause();
    from.on('data', (data) => to.write(data));
    from.on('error', () => undefined);
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    pipe(client, upstream);
    pipe(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    freeze(next) {
      frozen = next;
      for (const socket of sockets)
        if (next) socket.pause();
        else socket.resume();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
