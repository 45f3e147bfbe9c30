import { afterReturning, construct, editSource, execution, registerLoadTimeAspect, within, type Advice, type Pointcut } from '../../src/aspects/index.ts';
import { asyncLoop, capture, constructLoop, Counter, count, passOn, Point, syncLoop, type Case } from './cases.ts';

/** The classes of the other cases as text that the module hook weaves. */
const SOURCE = `${Counter.toString().replace(
  /\s\}$/,
  `
  #hidden(a, b) { return (a + b) | 0; }
  hidden(a, b) { return this.#hidden(a, b); }
}`,
)}
export { Counter };
export ${Point.toString()}
function plus(a, b) { return (a + b) | 0; }
export const functions = { add: (a, b) => plus(a, b) };
`;

interface Loaded {
  readonly Counter: new () => Counter & { hidden(a: number, b: number): number };
  readonly Point: typeof Point;
  readonly functions: Pick<Counter, 'add'>;
}

/** Loads the classes with advice woven into their text, switched off or on. */
async function load(pointcut: Pointcut, advice: Advice, on = true): Promise<Loaded> {
  const handle = registerLoadTimeAspect([{ pointcut: within('/bench/counter.js').and(pointcut), advice }]);
  if (!on) handle.disable();
  const woven = editSource({ url: 'file:///bench/counter.js', format: 'module', source: SOURCE });
  if (woven === undefined) throw new Error('nothing was woven');
  return (await import(`data:text/javascript,${encodeURIComponent(woven.code)}`)) as Loaded;
}

const method = execution('Counter.add');
const hidden = async (on: boolean) => {
  const made = new (await load(execution('#hidden'), count as Advice, on)).Counter();
  return syncLoop({ add: (a, b) => made.hidden(a, b) });
};

/** Weaving of the text of classes when their module is loaded. */
export const LOAD_TIME: readonly Case[] = [
  {
    name: 'load time: advice off',
    against: 'direct',
    target: 1.1,
    setup: async () => syncLoop(new (await load(method, passOn() as Advice, false)).Counter()),
  },
  {
    name: 'load time: @Before',
    against: 'direct',
    target: 4,
    setup: async () => syncLoop(new (await load(method, count as Advice)).Counter()),
  },
  {
    name: 'load time: @Around',
    against: 'direct',
    target: 5,
    setup: async () => syncLoop(new (await load(method, passOn() as Advice)).Counter()),
  },
  {
    name: 'load time: function, @Before',
    against: 'direct',
    target: 4,
    setup: async () => syncLoop((await load(execution('plus'), count as Advice)).functions),
  },
  { name: 'load time: #private, off', against: 'direct', setup: () => hidden(false) },
  { name: 'load time: #private, @Before', against: 'direct', setup: () => hidden(true) },
  {
    name: 'load time: async @AfterReturning',
    against: 'async direct',
    setup: async () => asyncLoop(new (await load(execution('Counter.addLater'), afterReturning(() => undefined) as Advice)).Counter()),
  },
  {
    name: 'load time: construct off',
    against: 'construct direct',
    setup: async () => constructLoop((await load(construct('Point'), capture as Advice, false)).Point),
  },
  {
    name: 'load time: construct @After, instance kept',
    against: 'construct direct, instance kept',
    target: 5,
    setup: async () => constructLoop((await load(construct('Point'), capture as Advice)).Point),
  },
];
