/**
 * Compiled code of spark-proxy's own processes, kept from one start to the next by Node: much of a start is compiling.
 * It is code, so it lies where only this user writes; Node's default is a directory that all users share.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

/** What no other user may do to a directory. */
const OTHERS_WRITE = 0o022;

function isOurs(directory: string): boolean {
  const { uid, mode } = statSync(directory);
  return process.getuid === undefined || (uid === process.getuid() && (mode & OTHERS_WRITE) === 0);
}

/**
 * The directory that processes started with `env` use, made when missing: `NODE_COMPILE_CACHE`, else
 * `spark-proxy/compiled` in the user's cache directory (`XDG_CACHE_HOME`, `~/.cache`). Undefined: they use none, by
 * `NODE_DISABLE_COMPILE_CACHE`, because coverage is measured (cached functions blur it), or for want of a safe place.
 */
export function compileCacheDirectory(env: NodeJS.ProcessEnv): string | undefined {
  if (env['NODE_DISABLE_COMPILE_CACHE'] !== undefined || env['NODE_V8_COVERAGE'] !== undefined) return undefined;
  if (env['NODE_COMPILE_CACHE'] !== undefined) return env['NODE_COMPILE_CACHE'];
  const base = env['XDG_CACHE_HOME'];
  try {
    const caches = base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache');
    // Looked at before anything is made: with sudo it may be the home of another.
    if (!isOurs(existsSync(caches) ? caches : dirname(caches))) return undefined;
    const ours = join(caches, 'spark-proxy');
    mkdirSync(join(ours, 'compiled'), { recursive: true, mode: 0o700 });
    return isOurs(ours) ? join(ours, 'compiled') : undefined;
  } catch {
    // No home, or one that cannot be written to: starting takes a little longer.
    return undefined;
  }
}

/** Adds it to the environment of a process to be started. */
export function withCompileCache(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const directory = compileCacheDirectory(env);
  return directory === undefined ? env : { ...env, NODE_COMPILE_CACHE: directory };
}

/** For this process, from the next import on, and those it starts. */
export function keepCompiledCode(): void {
  const directory = compileCacheDirectory(process.env);
  if (directory === undefined) return;
  process.env['NODE_COMPILE_CACHE'] = directory;
  enableCompileCache(directory);
}
