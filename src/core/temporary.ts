/**
 * Temporary directories of this process: removed when it ends, also by an error, process.exit or a signal. Only SIGKILL
 * leaves them; their names tell the process id.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineErrors } from './errors.ts';

export const TEMPORARY_ERRORS = defineErrors('TEMPORARY', {
  CANNOT_MAKE: [
    'no directory for temporary files can be made in {parent}: {reason}',
    'Give a directory that can be written to, with room, as spark.local.dir (or in the environment as TMPDIR).',
  ],
});

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const directories = new Set<string>();
const removeAll = (): void => directories.forEach((directory) => rmSync(directory, { recursive: true, force: true }));

/** Nobody else handles the signal: clean up, then let it do what it would have done. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  removeAll();
  process.removeListener(signal, onSignal);
  process.kill(process.pid, signal);
}

function watchEnd(watch: boolean): void {
  const change = watch ? 'on' : 'removeListener';
  process[change]('exit', removeAll);
  for (const signal of SIGNALS) process[change](signal, onSignal);
}

/**
 * `<base>/<prefix>-<pid>-XXXXXX`; the base is made when missing. @defaultValue base: the system's directory for temporary files
 * @throws SP_TEMPORARY_CANNOT_MAKE
 */
export function makeTemporaryDirectory(base: string | undefined, prefix: string): string {
  const parent = base ?? tmpdir();
  let directory: string;
  try {
    mkdirSync(parent, { recursive: true });
    directory = mkdtempSync(join(parent, `${prefix}-${process.pid}-`));
  } catch (cause) {
    throw TEMPORARY_ERRORS.CANNOT_MAKE({ parent, reason: (cause as Error).message }, cause);
  }
  if (directories.size === 0) watchEnd(true);
  directories.add(directory);
  return directory;
}

export async function removeTemporaryDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  if (directories.delete(directory) && directories.size === 0) watchEnd(false);
}
