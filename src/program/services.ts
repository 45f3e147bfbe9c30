/** Services by name: an address that a running process announces below `<home>/services`, gone with the process. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '../core/ids.ts';
import { PROGRAM_ERRORS } from './errors.ts';
import { processStart } from './records.ts';

interface Entry {
  readonly url: string;
  readonly pid: number;
  readonly pidStart: number;
}

function directoryOf(home: string, name: string): string {
  if (!/^[\w.-]{1,128}$/.test(name) || name.startsWith('.')) {
    throw PROGRAM_ERRORS.BAD_DEFINITION({ what: `service ${name}`, reason: 'its name has letters, digits, dots and dashes only' });
  }
  return join(home, 'services', name);
}

/** Returns the function that takes the announcement back; it ends with this process too. */
export function announceService(home: string, name: string, url: string): () => void {
  const directory = directoryOf(home, name);
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${newId('service')}.json`);
  const entry: Entry = { url, pid: process.pid, pidStart: processStart(process.pid) ?? 0 };
  writeFileSync(`${path}.new`, JSON.stringify(entry));
  renameSync(`${path}.new`, path);
  return () => rmSync(path, { force: true });
}

/** An address of a service whose process lives, or undefined. Leftovers of processes that have gone are removed. */
export function discoverService(home: string, name: string): string | undefined {
  const directory = directoryOf(home, name);
  let files: string[];
  try {
    files = readdirSync(directory).filter((file) => file.endsWith('.json'));
  } catch {
    return undefined;
  }
  for (const file of files.sort()) {
    const path = join(directory, file);
    try {
      const { url, pid, pidStart } = JSON.parse(readFileSync(path, 'utf8')) as Entry;
      if (processStart(pid) === pidStart) return url;
      rmSync(path, { force: true });
    } catch {
      // Withdrawn meanwhile.
    }
  }
  return undefined;
}
