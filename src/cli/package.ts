/** A packaged external home: everything a worker host needs, to be unpacked and started. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { version } from '../core/version.ts';
import { CLI_ERRORS } from './errors.ts';
import type { Command } from './command.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/[\\/]$/, '');
/** Of spark-proxy itself. */
const OWN = ['bin', 'dist', 'jvm/target/spark-proxy-agent.jar', 'package.json', 'README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CHANGELOG.md', 'LICENSE'];

interface Manifest {
  readonly name?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifestOf = (directory: string): Manifest => JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;

/** Where a package that `from` depends on is installed, by Node's rule. */
function installed(name: string, from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const path = join(at, 'node_modules', ...name.split('/'));
    if (existsSync(join(path, 'package.json'))) return path;
    if (dirname(at) === at) return undefined;
  }
}

/**
 * Directories of all packages that run in production, spark-proxy itself excepted.
 * @throws SP_CLI_NOT_INSTALLED
 */
export function productionPackages(root: string): string[] {
  const found = new Set<string>();
  const queue = [root];
  for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
    const { dependencies = {}, optionalDependencies = {} } = manifestOf(from);
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const at = installed(name, from);
      if (at === undefined) {
        // Packages of other platforms are left out when a package is installed.
        if (Object.hasOwn(optionalDependencies, name)) continue;
        throw CLI_ERRORS.NOT_INSTALLED({ name, from: basename(from) });
      }
      if (found.has(at)) continue;
      found.add(at);
      queue.push(at);
    }
  }
  return [...found].sort();
}

/** Below the home, so that every package finds its own as it does here: those beside spark-proxy beside it, those inside inside. */
function placeOf(path: string): string {
  const inside = relative(ROOT, path);
  if (!inside.startsWith('..')) return join('node_modules', 'spark-proxy', inside);
  for (let at = dirname(ROOT); ; at = dirname(at)) {
    const below = relative(at, path);
    if (below.startsWith(`node_modules${sep}`) || dirname(at) === at) return below;
  }
}

/** Makes the home in a directory that is missing or empty. */
export function makeHome(home: string, options: { readonly withNode: boolean }): void {
  if (existsSync(home) && readdirSync(home).length > 0) throw CLI_ERRORS.USAGE({ command: 'package', reason: `${home} is not empty` });
  const own = join(home, 'node_modules', 'spark-proxy');
  mkdirSync(own, { recursive: true });
  for (const name of OWN) if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(own, name), { recursive: true });
  for (const name of ['sbin', 'conf']) cpSync(join(ROOT, name), join(home, name), { recursive: true, filter: (path) => !isSetting(path) });
  const packages = productionPackages(ROOT);
  for (const path of packages) {
    const nested = join(path, 'node_modules');
    cpSync(realpathSync(path), join(home, placeOf(path)), { recursive: true, dereference: true, filter: (from) => from !== nested });
  }
  mkdirSync(join(home, 'bin'), { recursive: true });
  writeFileSync(join(home, 'bin', 'spark-proxy'), LAUNCHER, { mode: 0o755 });
  if (options.withNode) {
    mkdirSync(join(home, 'node', 'bin'), { recursive: true });
    cpSync(realpathSync(process.execPath), join(home, 'node', 'bin', 'node'), { dereference: true });
  }
  for (const name of ['README.md', 'LICENSE']) if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(home, name));
}

/** Settings of this machine stay here; templates travel. */
function isSetting(path: string): boolean {
  return dirname(path) === join(ROOT, 'conf') && !path.endsWith('.template');
}

const LAUNCHER = `#!/usr/bin/env bash
exec "$(cd "$(dirname "\${BASH_SOURCE[0]}")/.." && pwd -P)/sbin/external-spark-class.sh" "$@"
`;

async function pack(home: string, file: string): Promise<void> {
  const tar = spawn('tar', ['-czf', resolve(file), '-C', dirname(home), basename(home)], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = (await Promise.race([once(tar, 'exit'), once(tar, 'error')])) as [number | Error | null];
  if (code !== 0) throw CLI_ERRORS.NO_ARCHIVE({ file, reason: code instanceof Error ? code.message : `tar ended with ${code}` });
}

export const packageCommand: Command = {
  name: 'package',
  summary: 'make an external home: all that a worker host needs, to unpack and start',
  help: `Usage: spark-proxy package DIR|FILE.tgz [--with-node]

Copies spark-proxy, the packages it needs, sbin/ and the templates of conf/ into DIR, or an archive with one directory.
On the other host: unpack it, copy conf/*.template, and run sbin/start-worker.sh (or sbin/start-all.sh on the operator's host).

      --with-node      with this machine's Node, for hosts of the same platform that have none

Examples:
  spark-proxy package external-spark.tgz --with-node
  spark-proxy package /opt/external-spark
`,
  async run(args) {
    const withNode = args.includes('--with-node');
    const [target, ...more] = args.filter((arg) => arg !== '--with-node');
    if (target === undefined || more.length > 0 || target.startsWith('-')) throw CLI_ERRORS.USAGE({ command: 'package', reason: 'give one DIR or FILE.tgz' });
    if (!existsSync(join(ROOT, 'dist', 'cli', 'main.js')))
      throw CLI_ERRORS.USAGE({ command: 'package', reason: 'this checkout is not built: run npm run build' });
    if (!/\.(tgz|tar\.gz)$/.test(target)) {
      makeHome(resolve(target), { withNode });
      process.stdout.write(`${resolve(target)}\n`);
      return 0;
    }
    const directory = mkdtempSync(join(dirname(resolve(target)), '.package-'));
    try {
      const home = join(directory, `external-spark-${version}`);
      makeHome(home, { withNode });
      await pack(home, target);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    process.stdout.write(`${resolve(target)}\n`);
    return 0;
  },
};
