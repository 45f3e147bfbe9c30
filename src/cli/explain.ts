import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { extname, join, resolve } from 'node:path';
import type { Explanation } from '../aspects/index.ts';
import { makeTemporaryDirectory, removeTemporaryDirectory } from '../core/temporary.ts';
import { table } from '../observe/table.ts';
import { parseOptions, type Command } from './command.ts';
import { CLI_ERRORS } from './errors.ts';

const OPTIONS = {
  json: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  strict: { type: 'boolean' },
  aspects: { type: 'string' },
  include: { type: 'string' },
  dump: { type: 'string' },
} as const;
const WITH_VALUE = new Set(['--aspects', '--include', '--dump']);

/** Options come before PROGRAM; what follows it is the program's. */
function programAt(args: readonly string[]): number {
  let i = 0;
  while (i < args.length && (args[i] as string).startsWith('-')) i += WITH_VALUE.has(args[i] as string) ? 2 : 1;
  return i;
}

const list = (text: string | undefined): string[] | undefined => text?.split(',').map((one) => one.trim());

function toText({ shadows, unmatched, skipped }: Explanation): string {
  const parts = [`${shadows.length} join points matched`];
  if (shadows.length > 0) {
    parts.push(
      table(
        ['join point', 'where', 'pointcuts'],
        shadows.map(({ joinPoint, module, line, pointcuts }) => [joinPoint, `${module}:${line}`, pointcuts.join('  ')]),
      ),
    );
  }
  if (unmatched.length > 0) {
    parts.push('pointcuts that matched nothing', ...unmatched.map(({ pointcut, advice }) => `  ${pointcut}${advice === '' ? '' : ` (${advice})`}`));
  }
  if (skipped.length > 0) {
    parts.push('skipped', ...skipped.map(({ joinPoint, module, line, why }) => `  ${joinPoint === '' ? 'module' : joinPoint} ${module}:${line}: ${why}`));
  }
  return parts.join('\n');
}

export const explainCommand: Command = {
  name: 'explain',
  summary: 'run a program and say which join points its aspects matched',
  help: `Usage: spark-proxy explain [options] PROGRAM [arguments of the program]

Runs PROGRAM with the aspects that SPARK_PROXY_ASPECTS, or "spark-proxy" in package.json, names, and says which join points
matched, which pointcuts matched nothing, and what was skipped and why. What the program prints goes to standard error.

      --json          the report as JSON
      --dry-run       weave nothing, only look
      --strict        fail when a pointcut matches nothing
      --aspects A,B   aspect modules, instead of those configured
      --include G,H   module globs and packages for pointcuts that name none
      --dump DIR      a copy of every woven source

Examples:
  spark-proxy explain --dry-run --aspects ./aspects.js server.js
  spark-proxy explain --json main.ts | jq .unmatched
`,
  async run(args) {
    const at = programAt(args);
    const values = parseOptions('explain', args.slice(0, at), OPTIONS);
    const program = args[at];
    if (program === undefined) throw CLI_ERRORS.USAGE({ command: 'explain', reason: 'no program is given' });
    if (!existsSync(program)) throw CLI_ERRORS.NO_SUCH_FILE({ file: program });
    const folder = makeTemporaryDirectory(undefined, 'spark-proxy-explain');
    try {
      const explainInto = join(folder, 'report.json');
      const outside = process.env['SPARK_PROXY_ASPECTS'];
      const options = {
        aspects: list(values.aspects) ?? (outside === undefined || outside.startsWith('{') ? undefined : list(outside)),
        include: list(values.include),
        dryRun: values['dry-run'],
        strict: values.strict,
        dump: values.dump === undefined ? undefined : resolve(values.dump),
        explainInto,
      };
      const given = outside?.startsWith('{') === true ? (JSON.parse(outside) as object) : {};
      const asked = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
      const env = { ...process.env, SPARK_PROXY_ASPECTS: JSON.stringify({ ...given, ...asked }) };
      const preload = new URL(`../register${extname(import.meta.url)}`, import.meta.url).href;
      const child = spawn(process.execPath, [...process.execArgv, '--import', preload, program, ...args.slice(at + 1)], {
        stdio: ['inherit', 2, 'inherit'],
        env,
      });
      const code = await new Promise<number>((end, reject) => {
        child.once('error', reject);
        child.once('exit', (status, signal) => end(status ?? 128 + (signal === null ? 1 : constants.signals[signal])));
      });
      if (!existsSync(explainInto)) throw CLI_ERRORS.NOTHING_TO_EXPLAIN({ program, code });
      const text = readFileSync(explainInto, 'utf8');
      process.stdout.write(values.json === true ? `${text}\n` : `${toText(JSON.parse(text) as Explanation)}\n`);
      return code;
    } finally {
      await removeTemporaryDirectory(folder);
    }
  },
};
