import type { Command } from './command.ts';

/** Each is loaded when it is asked for: a worker starts without what submits programs, and the other way round. */
export const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['run', async () => (await import('./run.ts')).runCommand],
  ['submit', async () => (await import('./submit.ts')).submitCommand],
  ['program', async () => (await import('./program.ts')).programCommand],
  ['dispatcher', async () => (await import('./dispatcher.ts')).dispatcherCommand],
  ['worker', async () => (await import('./worker.ts')).workerCommand],
  ['status', async () => (await import('./status.ts')).statusCommand],
  ['hosts', async () => (await import('./hosts.ts')).hostsCommand],
  ['tasks', async () => (await import('./tasks.ts')).tasksCommand],
  ['kill', async () => (await import('./kill.ts')).killCommand],
  ['drain', async () => (await import('./drain.ts')).drainCommand],
  ['retry', async () => (await import('./retry.ts')).retryCommand],
  ['apps', async () => (await import('./apps.ts')).appsCommand],
  ['destination', async () => (await import('./destination.ts')).destinationCommand],
  ['stop', async () => (await import('./stop.ts')).stopCommand],
  ['top', async () => (await import('./top.ts')).topCommand],
  ['conf', async () => (await import('./conf.ts')).confCommand],
  ['package', async () => (await import('./package.ts')).packageCommand],
  ['explain', async () => (await import('./explain.ts')).explainCommand],
  ['keygen', async () => (await import('./keygen.ts')).keygenCommand],
  ['completions', async () => (await import('./completions.ts')).completionsCommand(allCommands)],
]);

export async function allCommands(): Promise<Command[]> {
  return Promise.all([...COMMANDS.values()].map((load) => load()));
}
