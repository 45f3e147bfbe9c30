import { isAbsolute, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageOf } from '../loader/package-of.ts';

/**
 * What a module is called in a build and, later, in the program that was built: its path from the root of the project (so that a
 * bundle tells nothing of the machine that made it, and is the same wherever it is made), and its package behind `#`, for
 * `within('pkg:...')`, as its package.json is not there any more. A file outside of the root keeps its whole path.
 */
export function builtUrl(path: string, root: string): string {
  const inside = relative(root, path);
  const own = inside !== '' && !inside.startsWith('..') && !isAbsolute(inside);
  const url = own ? new URL(inside.replaceAll('\\', '/').split('/').map(encodeURIComponent).join('/'), 'file:///') : pathToFileURL(path);
  const known = packageOf(path);
  return known === undefined ? url.href : `${url.href}#pkg=${known.name}@${known.version}`;
}
