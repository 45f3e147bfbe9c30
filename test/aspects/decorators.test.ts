import { readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transformSync } from 'esbuild';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Before, execution, explain, handleOf, Intercept, weave, weaveAspect, before } from '../../src/aspects/index.ts';

type Decorated = typeof import('./decorated.ts');

/**
 * Runs decorated TypeScript lowered in one flavour; relative imports become absolute, as the result has no place of its own.
 * esbuild lets the body of a class see the class before its decorators (evanw/esbuild#3968), against the standard; taking
 * the inner name away puts that right.
 */
async function load<T>(source: string, experimentalDecorators: boolean): Promise<T> {
  const { code } = transformSync(source, { loader: 'ts', target: 'es2022', tsconfigRaw: { compilerOptions: { experimentalDecorators } } });
  const standard = code.replace(/^let (_\w+) = class \1\b/gm, 'let $1 = class');
  const absolute = standard.replace(/from "(\.[^"]*)"/g, (_whole, path: string) => `from ${JSON.stringify(new URL(path, import.meta.url).href)}`);
  return (await import(`data:text/javascript,${encodeURIComponent(absolute)}`)) as T;
}

const FIXTURE = readFileSync(fileURLToPath(new URL('./decorated.ts', import.meta.url)), 'utf8');
const INDEX = JSON.stringify(pathToFileURL(fileURLToPath(new URL('../../src/aspects/index.ts', import.meta.url))).href);

describe.each([
  ['standard', false],
  ['legacy', true],
])('decorators of the %s flavour', (_flavour, legacy) => {
  let program: Decorated;
  beforeAll(async () => {
    program = await load<Decorated>(FIXTURE, legacy);
  });
  beforeEach(() => {
    program.log.length = 0;
  });

  test('an aspect class applies its advice in order', () => {
    const { AuditAspect, Orders, log } = program;
    const aspect = new AuditAspect();
    const handle = weaveAspect(Orders, aspect, { strict: true });
    expect(new Orders().submit(1)).toBe(2);
    expect(log).toEqual(['begin 1', 'time', 'submit 1', 'end', 'done 2']);
    expect(aspect.seen()).toEqual(['Orders.submit']);
    log.length = 0;
    expect(new Orders().submit(0)).toBe(101);
    log.length = 0;
    expect(() => new Orders().fail()).toThrow('bad');
    expect(log).toEqual(['end', 'failed bad']);
    handle.unweave();
    log.length = 0;
    new Orders().submit(1);
    expect(log).toEqual(['submit 1']);
  });

  test('a method may be advice of several pointcuts, and order decides between aspects', () => {
    const { AuditAspect, OuterAspect, Orders, log } = program;
    const inner = weaveAspect(Orders, new AuditAspect());
    const outer = weaveAspect(Orders, new OuterAspect(), { strict: true });
    expect(outer.joinPoints).toEqual(['get Orders.size', 'Orders.submit']);
    new Orders().submit(1);
    expect(log.slice(0, 2)).toEqual(['first execution', 'begin 1']);
    log.length = 0;
    expect(new Orders().size).toBe(3);
    expect(log).toEqual(['first get']);
    const woven = explain().joinPoints.filter(({ joinPoint }) => joinPoint === 'Orders.submit');
    expect(woven.at(-1)!.advice.map(({ name, order }) => `${name} ${order}`)).toEqual([
      'OuterAspect.first -1',
      'Audit.done 1',
      'Audit.begin 1',
      'Audit.time 1',
      'Audit.end 5',
    ]);
    inner.unweave();
    outer.unweave();
  });

  test('an override without decorator is no advice', () => {
    const { DerivedAspect, Orders } = program;
    expect(() => weaveAspect(Orders, new DerivedAspect())).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_NOT_AN_ASPECT' }));
  });

  test('advice is applied in place to methods, statics and accessors', () => {
    const { Job, SubJob, log } = program;
    const job = new Job(5);
    log.length = 0;
    expect(job.run(3)).toBe(30);
    expect(new SubJob(5).run(3)).toBe(31);
    expect(job.next).toBe(6);
    Job.reset();
    expect(Job.made).toBe(0);
    // A standard decorator of a method does not know the class.
    const type = legacy ? 'Job.' : '';
    expect(log.filter((line) => !line.startsWith('made'))).toEqual([`before ${type}run`, `before ${type}run`, `before static ${type}reset`]);
    expect([job.run.name, job.run.length]).toEqual(['run', 1]);
  });

  test('advice is applied to the construction of a class, made inside it too', () => {
    const { Job, SubJob, log } = program;
    Job.made = 0;
    const jobs = [new Job(1), Job.create(2), new SubJob(3)];
    expect(jobs.every((job) => job instanceof Job)).toBe(true);
    expect(jobs[2]).toBeInstanceOf(SubJob);
    expect(log).toEqual(['made 1', 'made 2', 'made 3']);
    expect(Job.made).toBe(3);
    expect([Job.name, Job.length, jobs[1]!.constructor]).toEqual(['Job', 1, Job]);
  });

  test('what is applied in place can be switched, and woven further', () => {
    const { Job, log } = program;
    const job = new Job(5);
    const handle = handleOf(Job.prototype.run)!;
    const further = weave(
      Job,
      execution('run'),
      before(() => void log.push('further')),
    );
    log.length = 0;
    expect(job.run(1)).toBe(10);
    handle.disable();
    expect(job.run(1)).toBe(5);
    handle.enable();
    further.unweave();
    expect(job.run(1)).toBe(10);
    expect(log.filter((line) => line === 'further')).toHaveLength(2);
    expect(handleOf(job)).toBeUndefined();
  });

  test('a decorator in the wrong place is refused', async () => {
    const wrong = async (line: string): Promise<unknown> =>
      load(`import { After, Aspect, Before, Intercept, execution, before } from ${INDEX};\n${line}`, legacy).catch((error: { code?: string }) => error.code);
    expect(await wrong(`@Before(execution('x')) class A {}`)).toBe('SP_ASPECTS_BAD_DECORATION');
    expect(await wrong(`class A { @Before(execution('x')) static x() {} }`)).toBe('SP_ASPECTS_BAD_DECORATION');
    expect(await wrong(`class A { @After(execution('x')) x = 1 }`)).toBe('SP_ASPECTS_BAD_DECORATION');
    expect(await wrong(`class A { @Aspect({}) x() {} }`)).toBe('SP_ASPECTS_BAD_DECORATION');
    expect(await wrong(`class A { @Intercept(before(() => 1)) x = 1 }`)).toBe('SP_ASPECTS_BAD_DECORATION');
    expect(await wrong(`class A { @Intercept(before(() => 1)) x() {} }`)).toBeTypeOf('object');
  });
});

test('standard decorators reach private methods', async () => {
  const { run } = await load<{ run: () => unknown[] }>(
    `import { Intercept, before } from ${INDEX};
     const seen: unknown[] = [];
     class Vault {
       @Intercept(before((jp) => void seen.push(jp.name, jp.args))) #open(code: number) { return code * 2 }
       @Intercept(before((jp) => void seen.push(jp.name))) static #make() { return new Vault() }
       @Intercept((jp, proceed) => proceed() + 1) get #size() { return 1 }
       static use() { const vault = Vault.#make(); return [vault.#open(4), vault.#size] }
     }
     export const run = () => [Vault.use(), seen];`,
    false,
  );
  expect(run()).toEqual([
    [8, 2],
    ['#make', '#open', [4]],
  ]);
});

test('advice methods must be public', async () => {
  const source = `import { Before, execution } from ${INDEX}; class A { @Before(execution('x')) #x() {} }`;
  await expect(load(source, false)).rejects.toMatchObject({ code: 'SP_ASPECTS_BAD_DECORATION' });
});

test('bad arguments are refused where the decorator is made', () => {
  expect(() => Before('submit' as never)).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_BAD_POINTCUT' }));
  expect(() => Intercept()).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_BAD_ADVICE' }));
  expect(() => Intercept({} as never)).toThrow(expect.objectContaining({ code: 'SP_ASPECTS_BAD_ADVICE' }));
});

test('parameter types are read from reflect-metadata where the program has it', async () => {
  const { types, kept } = await load<{ types: unknown[][]; kept: unknown }>(
    `import ${JSON.stringify(import.meta.resolve('reflect-metadata'))};
     import { weave, weaveConstructor, execution, before, Intercept } from ${INDEX};
     const R = Reflect as any;
     const types: unknown[] = [];
     @R.metadata('design:paramtypes', [Number])
     class Orders {
       constructor(id: number) {}
       @Intercept(before(() => 1)) @R.metadata('design:paramtypes', [String, Number]) @(((_t, _k, d) => R.defineMetadata('route', '/x', d.value)) as any)
       submit(name: string, id: number) {}
     }
     weave(Orders, execution('submit'), before((jp) => void types.push(jp.signature.parameterTypes)));
     const Woven = weaveConstructor(Orders, before((jp) => void types.push(jp.signature.parameterTypes)));
     new Woven(1).submit('a', 1);
     const kept = R.getMetadata('route', Orders.prototype.submit);
     export { types, kept };`,
    true,
  );
  expect(types).toEqual([[Number], [String, Number]]);
  expect(kept).toBe('/x');
});
