import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface PackageName {
  readonly name: string;
  /** `0.0.0` where package.json says none. */
  readonly version: string;
}

const byFolder = new Map<string, PackageName | undefined>();

/** Name and version of the package that a file belongs to: of the nearest package.json with a name. Cached for the life of the process. */
export function packageOf(path: string): PackageName | undefined {
  const folder = dirname(path);
  if (folder === path) return undefined;
  if (byFolder.has(folder)) return byFolder.get(folder);
  const found = read(join(folder, 'package.json')) ?? packageOf(folder);
  byFolder.set(folder, found);
  return found;
}

function read(path: string): PackageName | undefined {
  try {
    const { name, version } = JSON.parse(readFileSync(path, 'utf8')) as { name?: unknown; version?: unknown };
    return typeof name === 'string' ? { name, version: typeof version === 'string' ? version : '0.0.0' } : undefined;
  } catch {
    return undefined;
  }
}
