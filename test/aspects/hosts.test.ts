import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, describe, expect, test } from 'vitest';
import { makeProject, type Project } from '../support/project.ts';

const require = createRequire(import.meta.url);
const projects: Project[] = [];
afterEach(() => {
  for (const project of projects.splice(0)) project.remove();
});

/** A project in which these packages of ours are installed. */
function project(files: Readonly<Record<string, string>>, ...packages: readonly string[]): Project {
  const made = makeProject(files);
  projects.push(made);
  for (const name of packages) symlinkSync(join(dirname(require.resolve('fastify/package.json')), '..', name), made.file(`node_modules/${name}`));
  return made;
}

describe('a CommonJS application', () => {
  const files = {
    'package.json': JSON.stringify({ name: 'app', 'spark-proxy': { aspects: ['./aspects.cjs'], include: ['**/orders.cjs'] } }),
    'aspects.cjs': `const { around, execution } = require('spark-proxy/aspects');
exports.advice = [{ pointcut: execution('Orders.submit').or(execution('hidden')), advice: around((_jp, proceed) => 10 * proceed()) }];
`,
    'orders.cjs': `'use strict';
function hidden(n) { return n + 1; }
class Orders { submit(n) { return hidden(n); } }
module.exports = { Orders };
`,
    'app.cjs': `const { Orders } = require('./orders.cjs');
console.log(new Orders().submit(1), require.main === module, typeof require.cache);
`,
    'code.cjs': `require('spark-proxy/aspects').register({ aspects: [require('./aspects.cjs').advice], include: ['**/orders.cjs'] });
require('./app.cjs');
`,
    'main.mjs': `import './app.cjs';\n`,
  };

  test('is woven by --import, by --require, by a call of its own, and when ESM imports it', async () => {
    const { run } = project(files);
    const outputs = await Promise.all([
      run(['--import', 'spark-proxy/register', 'app.cjs']),
      run(['--import', 'spark-proxy/aspects/preload', 'app.cjs']),
      run(['--require', 'spark-proxy/register', 'app.cjs']),
      run(['code.cjs']),
      run(['--import', 'spark-proxy/register', 'main.mjs']),
    ]);
    expect(outputs.map(({ stdout }) => stdout)).toEqual([
      '200 true object\n',
      '200 true object\n',
      '200 true object\n',
      '200 false object\n',
      '200 false object\n',
    ]);
  });
});

describe('a Fastify application of decorated classes', () => {
  const files = {
    'package.json': JSON.stringify({ name: 'nest-like', 'spark-proxy': { aspects: ['./aspects.cjs'] } }),
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        module: 'commonjs',
        moduleResolution: 'bundler',
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        strict: true,
        outDir: 'dist',
        rootDir: 'src',
        skipLibCheck: true,
        types: [],
        ignoreDeprecations: '6.0',
      },
      include: ['src'],
    }),
    'aspects.cjs': `const { annotated, around, before, construct, execution, within } = require('spark-proxy/aspects');
const here = within('**/{src,dist}/*.{ts,js}');
exports.advice = [
  { pointcut: annotated('route').and(execution()).and(here), advice: around(async (jp, proceed) => ({ handled: jp.signature.toString(), parameters: jp.signature.parameterTypes.map((t) => t.name), ...(await proceed()) })) },
  { pointcut: execution('OrdersService.#price').and(here), advice: around((_jp, proceed) => proceed() + 0.5) },
  { pointcut: construct('OrdersController').and(here), advice: before((jp) => console.log('new', jp.args.map((a) => a.constructor.name).join())) },
];
`,
    // What NestJS does: routes and injection by metadata.
    'src/framework.ts': `import 'reflect-metadata';
import fastify from 'fastify';

type Class<T = object> = new (...args: any[]) => T;
const parameters = new WeakMap<object, Map<string | symbol, string[]>>();
const singletons = new Map<Class, object>();

export const Injectable = (): ClassDecorator => () => undefined;
export const Controller = (path: string): ClassDecorator => (target) => Reflect.defineMetadata('controller', path, target);
export const Get = (path: string): MethodDecorator => (target, key) => Reflect.defineMetadata('route', path, target, key);
export const Param = (name: string): ParameterDecorator => (target, key, index) => {
  const of = parameters.get(target) ?? new Map<string | symbol, string[]>();
  parameters.set(target, of);
  const names = of.get(key!) ?? [];
  names[index] = name;
  of.set(key!, names);
};

export function resolve<T extends object>(type: Class<T>): T {
  const known = singletons.get(type);
  if (known !== undefined) return known as T;
  const types = (Reflect.getMetadata('design:paramtypes', type) as Class[] | undefined) ?? [];
  const made = new type(...types.map((one) => resolve(one)));
  singletons.set(type, made);
  return made;
}

export function application(controllers: readonly Class[]) {
  const app = fastify();
  for (const type of controllers) {
    const controller = resolve(type) as Record<string, (...args: unknown[]) => unknown>;
    for (const key of Object.getOwnPropertyNames(type.prototype)) {
      const path = Reflect.getMetadata('route', type.prototype, key) as string | undefined;
      if (path === undefined) continue;
      const names = parameters.get(type.prototype)?.get(key) ?? [];
      app.get(\`\${Reflect.getMetadata('controller', type)}\${path}\`, (request) => controller[key]!(...names.map((name) => (request.params as Record<string, string>)[name])));
    }
  }
  return app;
}
`,
    'src/orders.ts': `import { Controller, Get, Injectable, Param } from './framework';

@Injectable()
export class OrdersService {
  readonly #prices = new Map([['plum', 3]]);
  find(id: string) {
    return { id, price: this.#price(id) };
  }
  #price(id: string): number {
    return this.#prices.get(id) ?? 0;
  }
}

@Controller('/orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Get('/:id')
  async find(@Param('id') id: string) {
    return this.orders.find(id);
  }
}
`,
    'src/main.ts': `import { application } from './framework';
import { OrdersController } from './orders';

const app = application([OrdersController]);
app.inject('/orders/plum').then(({ body }) => {
  console.log(body);
  return app.close();
});
`,
  };
  const OUTPUT = 'new OrdersService\n{"handled":"OrdersController.find","parameters":["String"],"id":"plum","price":3.5}\n';

  test('compiled by tsc with legacy decorators and metadata, it is woven as it is loaded; bundled into one file, too', async () => {
    const { run, directory } = project(files, 'fastify', 'reflect-metadata');
    const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
    execFileSync(process.execPath, [tsc, '-p', directory, '--noCheck'], { stdio: 'pipe' });
    expect((await run(['--import', 'spark-proxy/register', 'dist/main.js'])).stdout).toBe(OUTPUT);
    await build({
      absWorkingDir: directory,
      entryPoints: ['dist/main.js'],
      outfile: 'dist/bundle.js',
      bundle: true,
      platform: 'node',
      logLevel: 'silent',
      external: ['fastify', 'reflect-metadata'],
    });
    expect((await run(['--import', 'spark-proxy/register', 'dist/bundle.js'])).stdout).toBe(OUTPUT);
  });
});

describe('with import-in-the-middle, as OpenTelemetry uses it', () => {
  const files = {
    'package.json': JSON.stringify({ name: 'app', type: 'module', 'spark-proxy': { aspects: ['./aspects.js'], include: ['**/orders.*'] } }),
    'aspects.js': `import { around, execution } from 'spark-proxy/aspects';
export const advice = [{ pointcut: execution('Orders.submit').or(execution('price')), advice: around((jp, proceed) => \`advice(\${proceed()})\`) }];
`,
    'hook-sync.mjs': `import { register } from 'import-in-the-middle/register-hooks.mjs';\nregister();\nawait import('./instrument.mjs');\n`,
    'hook-async.mjs': `import { register } from 'node:module';\nregister('import-in-the-middle/hook.mjs', import.meta.url);\nawait import('./instrument.mjs');\n`,
    // An instrumentation: replaces an export by one that makes spans.
    'instrument.mjs': `import { Hook } from 'import-in-the-middle';
new Hook((exported, name) => {
  if (!/orders\\.(js|cjs)$/.test(name)) return;
  for (const target of [exported, exported.default ?? {}]) {
    const { price } = target;
    if (typeof price === 'function') target.price = (...args) => \`span(\${price(...args)})\`;
  }
});
`,
    'orders.js': `export class Orders { submit(n) { return 'order ' + n; } }\nexport function price() { return 'price'; }\n`,
    'other/orders.cjs': `class Orders { submit(n) { return 'order ' + n; } }\nfunction price() { return 'price'; }\nmodule.exports = { Orders, price };\n`,
    'main.js': `import { Orders, price } from './orders.js';
import * as other from './other/orders.cjs';
console.log(new Orders().submit(1), price(), new other.Orders().submit(2), other.price());
`,
  };
  const OUTPUT = 'advice(order 1) span(advice(price)) advice(order 2) span(advice(price))\n';

  test.each(['sync', 'async'])('both do their work, whichever is registered first, or it is said what was undone (%s hooks)', async (kind) => {
    const { run } = project(files, 'import-in-the-middle');
    const [ours, theirs] = [
      ['--import', 'spark-proxy/register'],
      ['--import', `./hook-${kind}.mjs`],
    ];
    const [oursFirst, oursLast] = await Promise.all([run([...ours, ...theirs, 'main.js']), run([...theirs, ...ours, 'main.js'])]);
    expect(oursLast.stdout).toBe(OUTPUT);
    expect(oursLast.stderr).not.toContain('SP_ASPECTS_DROPPED');
    // A synchronous hook that comes later leaves CommonJS to Node, which reads the file itself.
    expect(oursFirst.stdout).toBe(kind === 'async' ? OUTPUT : OUTPUT.replace('advice(order 2) span(advice(price))', 'order 2 span(price)'));
    expect(oursFirst.stderr.includes('SP_ASPECTS_DROPPED')).toBe(kind === 'sync');
  });
});
