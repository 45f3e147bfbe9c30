import { createRequire } from 'node:module';

/** As a package with code for both names its addons, and asks for by the environment. */
const ADDON = /\.(glibc|musl)\.node$/;
const VARIABLE = 'LIBC';

/**
 * The environment of a thread, and whether it says more than that of this process. A thread that has to find out which C
 * library Node runs on opens Node's own file and closes it in the background: one that is ended just then leaves it open.
 * This process has found out when it loaded its own addons.
 */
export function threadEnvironment(): { readonly env: NodeJS.ProcessEnv; readonly added: readonly string[] } {
  const libc = process.env[VARIABLE] === undefined ? loadedLibc() : undefined;
  return libc === undefined ? { env: process.env, added: [] } : { env: { ...process.env, [VARIABLE]: libc }, added: [VARIABLE] };
}

let known: string | undefined;

function loadedLibc(): string | undefined {
  if (known === undefined) for (const path of Object.keys(createRequire(import.meta.url).cache)) known ??= ADDON.exec(path)?.[1];
  return known;
}
