/**
 * `npm run services`: installs what the tests use beside Node (servers and languages) where it is missing.
 * As root on Debian or Ubuntu it installs packages, without starting their daemons: tests start private instances. What no
 * package brings (Spark) is fetched into the cache. What all tests of Spark need is made: the agent, an archive of classes.
 * Elsewhere it says what to install, and ends with 0: tests of what is missing skip with a loud line (with CI=true they fail).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { buildAgent } from './build-jvm.ts';
import { makeArchive } from './class-archive.ts';
import { COMPONENTS, findProgram, type Component } from './components.ts';

/** While it exists, Debian's package scripts start no daemon. */
const POLICY = '/usr/sbin/policy-rc.d';

function missing(): Component[] {
  return Object.values(COMPONENTS).filter((component: Component) => component.find() === undefined);
}

function install(packages: readonly string[]): void {
  const apt = (...args: string[]): boolean =>
    spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=120', '-qq', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0;
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    apt('update');
    apt('install', '-y', '--no-install-recommends', ...packages);
  } finally {
    if (ours) rmSync(POLICY, { force: true });
  }
}

const wanted = missing();
if (wanted.length > 0) {
  const packages = wanted.flatMap((component) => component.debian);
  if (process.getuid?.() === 0 && findProgram('apt-get') !== undefined) {
    console.log(`installing ${packages.join(' ')}`);
    install(packages);
  }
}
for (const component of missing()) {
  if (component.fetch === undefined) continue;
  console.log(`fetching ${component.name}`);
  try {
    component.fetch();
  } catch (error) {
    console.error(`${component.name}: ${(error as Error).message}`);
  }
}
for (const component of Object.values(COMPONENTS)) {
  const path = component.find();
  console.log(path === undefined ? `${component.name}: MISSING; install ${component.debian.join(' ')} (Debian's names)` : `${component.name}: ${path}`);
}
const spark = COMPONENTS.spark.find();
if (spark !== undefined && COMPONENTS.java.find() !== undefined && COMPONENTS.python.find() !== undefined) {
  // Otherwise tests make the agent themselves, or say why they cannot, and start Spark more slowly.
  const problem = buildAgent() ?? makeArchive(spark);
  if (problem !== undefined) console.error(problem);
}
