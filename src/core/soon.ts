const RESOLVED = Promise.resolve();

/** Calls back in a microtask. Cheaper than queueMicrotask, which makes an asynchronous resource of each. `act` must not throw. */
export function soon(act: () => void): void {
  void RESOLVED.then(act);
}
