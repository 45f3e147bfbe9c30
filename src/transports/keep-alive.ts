/** What holds the process open for a transport, and nothing else does: its sockets, servers and timers are all unref'd. */
export interface KeepAlive {
  /** The user's wish (`Transport.setActive`). */
  setActive(active: boolean): void;
  /** Counts an operation somebody awaits: a pending promise must not end in an exit. Every `begin` has its `end`. */
  begin(): void;
  end(): void;
  /** A promise that counts as an operation while it is pending. */
  hold(start: (resolve: () => void, reject: (error: Error) => void) => void): Promise<void>;
  /** An operation counts until it has ended. */
  during<T>(operation: () => Promise<T>): Promise<T>;
  close(): void;
}

const FOR_EVER_MS = 0x7fffffff;

export function createKeepAlive(): KeepAlive {
  let handle: NodeJS.Timeout | undefined;
  let active = false;
  let closed = false;
  let pending = 0;
  let holds = false;
  const apply = (): void => {
    const wanted = (active && !closed) || pending > 0;
    if (wanted && holds) return;
    holds = wanted;
    if (wanted) {
      handle ??= setInterval(() => undefined, FOR_EVER_MS);
      handle.ref();
    } else if (closed) {
      clearInterval(handle);
      handle = undefined;
    } else {
      handle?.unref();
    }
  };
  const begin = (): void => {
    if (pending++ === 0) apply();
  };
  const end = (): void => {
    if (--pending === 0) apply();
  };
  return {
    setActive(wanted) {
      active = wanted;
      apply();
    },
    begin,
    end,
    hold(start) {
      if (pending++ === 0) apply();
      let held = true;
      return new Promise<void>((resolve, reject) => {
        start(
          () => {
            if (held) end();
            held = false;
            resolve();
          },
          (error) => {
            if (held) end();
            held = false;
            reject(error);
          },
        );
      });
    },
    async during(operation) {
      begin();
      try {
        return await operation();
      } finally {
        end();
      }
    },
    close() {
      closed = true;
      apply();
    },
  };
}
