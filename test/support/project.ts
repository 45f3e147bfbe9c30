import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A project in a directory of its own, where this package is installed. */
export interface Project {
  readonly directory: string;
  file(name: string): string;
  write(name: string, text: string): void;
  /** Runs a program of it; fails when that fails. */
  run(args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }>;
  remove(): void;
}

export function makeProject(files: Readonly<Record<string, string>>): Project {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'spark-proxy-project-')));
  const file = (name: string): string => join(directory, name);
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(file(name)), { recursive: true });
    writeFileSync(file(name), text);
  };
  mkdirSync(file('node_modules'));
  symlinkSync(ROOT, file('node_modules/spark-proxy'));
  for (const [name, text] of Object.entries(files)) write(name, text);
  return {
    directory,
    file,
    write,
    run: (args) => {
      const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|VITEST.*|SPARK_PROXY_.*)$/.test(name)));
      return promisify(execFile)(process.execPath, [...args], { cwd: directory, env: { ...env, NO_COLOR: '1' }, timeout: 60_000 });
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** An application, its aspects, and a CommonJS package that it uses. What it prints is OUTPUT when it is woven. */
export const APPLICATION: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({ name: 'shop', version: '1.2.3', type: 'module' }),
  'src/main.ts': `import { Orders, newest } from './orders.ts';
import { twice } from 'tiny';

interface Line {
  readonly amount: number;
}

const lines: readonly Line[] = [{ amount: 2 }, { amount: 3 }];
const orders = new Orders('ada');
console.log(lines.map(({ amount }) => orders.submit(amount)).join(), newest(), twice(4));
try {
  orders.fail();
} catch (error) {
  console.log((error as Error).stack?.split('\\n').find((line) => line.includes('fail'))?.replace(/.*\\/(?=src)/, '').replace(')', ''));
}
`,
  'src/orders.ts': `type Amount = number;

let last: Ledger | undefined;

/** Not exported: only weaving the text reaches it. */
class Ledger {
  #total = 0;

  add(amount: Amount): Amount {
    return (this.#total += this.#checked(amount));
  }

  #checked(amount: Amount): Amount {
    return amount;
  }
}

export class Orders {
  readonly owner: string;
  readonly #ledger = new Ledger();

  constructor(owner: string) {
    this.owner = owner;
    last = this.#ledger;
  }

  submit(amount: Amount): Amount {
    return this.#ledger.add(amount);
  }

  fail(): never {
    throw new Error('no');
  }
}

export function newest(): boolean {
  return last !== undefined;
}
`,
  'src/aspects.ts': `import { afterThrowing, around, before, construct, execution, within, type ProceedingJoinPoint } from 'spark-proxy/aspects';

const note = before((jp) => console.log('before', String(jp.signature), jp.signature.module));

export const advice = [
  { pointcut: execution('Orders.submit').and(within('**/src/orders.ts')), advice: note },
  { pointcut: execution('Ledger.#checked').and(within('**/src/**')), advice: around((jp: ProceedingJoinPoint) => jp.proceedWith([jp.args[0] * 10])) },
  { pointcut: construct('Orders').and(within('pkg:shop')), advice: note },
  { pointcut: execution('newest').and(within('**/src/*.ts')), advice: around((_jp, proceed) => \`<\${String(proceed())}>\`) },
  { pointcut: execution('Orders.fail').and(within('**/src/*.ts')), advice: afterThrowing((_jp, error) => console.log('threw', (error as Error).message)) },
  { pointcut: execution('twice').and(within('pkg:tiny@^2')), advice: around((_jp, proceed) => (proceed() as number) + 0.5) },
];
`,
  'node_modules/tiny/package.json': JSON.stringify({ name: 'tiny', version: '2.0.1', main: 'index.js' }),
  'node_modules/tiny/index.js': `#!/usr/bin/env node
'use strict';
function twice(n) {
  return 2 * n;
}
exports.twice = twice;
`,
};

export const OUTPUT = `before new Orders file:///src/orders.ts#pkg=shop@1.2.3
before Orders.submit file:///src/orders.ts#pkg=shop@1.2.3
before Orders.submit file:///src/orders.ts#pkg=shop@1.2.3
20,50 <true> 8.5
threw no
src/orders.ts:32:11
`;
