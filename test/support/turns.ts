/** All microtasks that are queued, and those they queue; no turn of the event loop. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

/** To the end of the turn in which the microtasks that are queued now set what it has to do. */
export async function turn(): Promise<void> {
  await microtasks();
  await new Promise((resolve) => setImmediate(resolve));
}
