import { tracingChannel } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WEAVING_PEERS } from '../support/peers.ts';
import { asyncLoop, Counter, syncLoop, tick, type Case } from './cases.ts';

/** Other frameworks, each with an advice that counts: the least it lets one write. */
// oxlint-disable-next-line typescript/no-explicit-any -- peers come without types, or not at all
type Untyped = any;

const require = createRequire(join(WEAVING_PEERS, 'package.json'));
const load = (name: string): Untyped => require(name) as Untyped;
const loadModule = async (name: string): Promise<Untyped> => (await import(pathToFileURL(require.resolve(name)).href)) as Untyped;

/** What a compiler makes of a legacy decorator on a method. */
function decorate(decorator: (target: object, key: string, descriptor: PropertyDescriptor) => unknown, target: object, key: string): void {
  const made = decorator(target, key, Object.getOwnPropertyDescriptor(target, key)!);
  if (typeof made === 'object' && made !== null) Object.defineProperty(target, key, made);
}

const SOURCE = `export ${Counter.toString()}`;

/** A class as code-transformer makes it, which publishes its calls on a channel. */
async function transformed(method: string, kind: 'Sync' | 'Async', subscribe: boolean): Promise<Counter> {
  const exported = await loadModule('@apm-js-collab/code-transformer');
  const create = (exported.create ?? exported.default.create) as Untyped;
  const config = {
    channelName: 'bench',
    module: { name: 'bench', versionRange: '*', filePath: 'counter.js' },
    functionQuery: { className: 'Counter', methodName: method, kind },
  };
  const { code } = create([config]).getTransformer('bench', '1.0.0', 'counter.js').transform(SOURCE, 'esm') as { code: string };
  if (subscribe) tracingChannel('orchestrion:bench:bench').start.subscribe(tick);
  const { Counter: Made } = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as { Counter: new () => Counter };
  return new Made();
}

function shimmer(method: 'add' | 'addLater'): void {
  load('shimmer').wrap(Counter.prototype, method, (original: (...args: unknown[]) => unknown) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      tick();
      return original.apply(this, args);
    };
  });
}

export const PEER_CASES: readonly Case[] = [
  {
    name: 'peer: kaop-ts before',
    against: 'direct',
    peer: true,
    setup() {
      decorate(load('kaop-ts').beforeMethod(tick), Counter.prototype, 'add');
      return syncLoop();
    },
  },
  {
    name: 'peer: @aspectjs/core before',
    against: 'direct',
    peer: true,
    async setup() {
      const { Aspect, Before, getWeaver, on } = await loadModule('@aspectjs/core');
      const { AnnotationFactory, AnnotationKind } = await loadModule('@aspectjs/common');
      const Marked = new AnnotationFactory('bench').create(AnnotationKind.METHOD, 'Marked', function Marked() {});
      class Counting {
        before(): void {
          tick();
        }
      }
      decorate(Before(on.methods.withAnnotations(Marked)), Counting.prototype, 'before');
      getWeaver().enable(new (Aspect()(Counting) ?? Counting)());
      decorate(Marked(), Counter.prototype, 'add');
      return syncLoop();
    },
  },
  {
    name: 'peer: meld before',
    against: 'direct',
    peer: true,
    setup() {
      load('meld').before(Counter.prototype, 'add', tick);
      return syncLoop();
    },
  },
  {
    name: 'peer: meld around',
    against: 'direct',
    peer: true,
    setup() {
      load('meld').around(Counter.prototype, 'add', (joinPoint: Untyped) => joinPoint.proceed() as unknown);
      return syncLoop();
    },
  },
  {
    name: 'peer: shimmer',
    against: 'direct',
    peer: true,
    setup() {
      shimmer('add');
      return syncLoop();
    },
  },
  { name: 'peer: code-transformer, off', against: 'direct', peer: true, setup: async () => syncLoop(await transformed('add', 'Sync', false)) },
  { name: 'peer: code-transformer, on', against: 'direct', peer: true, setup: async () => syncLoop(await transformed('add', 'Sync', true)) },
  {
    name: 'peer: async shimmer',
    against: 'async direct',
    peer: true,
    setup() {
      shimmer('addLater');
      return asyncLoop();
    },
  },
  { name: 'peer: async code-transformer, on', against: 'async direct', peer: true, setup: async () => asyncLoop(await transformed('addLater', 'Async', true)) },
];
