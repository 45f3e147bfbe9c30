import { expect, test } from 'vitest';
import { around, construct, editSource, execution, get, registerLoadTimeAspect, set, within } from '../../src/aspects/index.ts';

/** A module as people format it: each `at()` notes where it stands. */
const SOURCE = `// A licence, say.

const seen = [];
export const at = () => seen.push(/:(\\d+:\\d+)\\)?$/.exec(new Error().stack.split('\\n')[2])[1]);

class Base {
  constructor(name) {
    this.name = name;
    at();
  }
}

class Hidden extends Base {
  #count = 0;
  field = at();

  constructor(name, { deep = at() } = {}) {
    super(name);
    at();
  }

  #add(by) {
    at();
    return (this.#count += by);
  }

  get size() {
    at();
    return this.#count;
  }

  set size(value) {
    at();
    this.#count = value;
  }

  *generate() {
    at();
    yield 1;
    at();
  }

  async later() {
    at();
    await null;
    at();
  }

  run() {
    const added = this.#add(1);
    at();
    this.size = this.size + added;
    for (const one of this.generate()) at(one);
    return this.later();
  }

  static make(name) {
    at();
    return new Hidden(name);
  }
}

function top(a, b = at()) {
  at();
  return a;
}

const arrow = (x) => {
  at();
  return x;
};

export const literal = {
  method() {
    at();
  },
};

export const run = async () => {
  await Hidden.make('a').run();
  top(1);
  arrow(2);
  literal.method();
  at();
  return seen.splice(0);
};
`;

const load = async (source: string): Promise<readonly string[]> =>
  ((await import(`data:text/javascript,${encodeURIComponent(source)}`)) as { run: () => Promise<readonly string[]> }).run();

test('every line, and every column of a line that is not edited, is where it was, advised or not', async () => {
  const handle = registerLoadTimeAspect([
    {
      pointcut: within('/positions/lib.js').and(execution('*').or(construct(), get('size'), set('size')), execution('at').not()),
      advice: around((_jp, proceed) => proceed()),
    },
  ]);
  try {
    const woven = editSource({ url: 'file:///positions/lib.js', format: 'module', source: SOURCE })!.code;
    const plain = await load(SOURCE);
    expect(plain.length).toBeGreaterThan(15);
    const lines = SOURCE.split('\n');
    const edited = woven.split('\n').flatMap((line, i) => (line === lines[i] ? [] : [i + 1]));
    // The first line with code of a class or module, what calls private members, and heads and ends of constructors.
    expect(edited.length).toBeLessThan(25);
    const exact = (places: readonly string[]): readonly string[] =>
      places.map((place) => (edited.includes(Number.parseInt(place, 10)) ? `${Number.parseInt(place, 10)}` : place));
    expect(exact(await load(woven))).toEqual(exact(plain));
    handle.disable();
    expect(exact(await load(woven))).toEqual(exact(plain));
  } finally {
    handle.unweave();
  }
});

test('the stack names the original functions, private, static and async ones too, and what is generated in between says where it comes from', async () => {
  const source = `export class Orders {
  #check() { throw new Error('refused'); }
  submit() { this.#check(); }
  async later() { await null; this.submit(); }
  static main() { new Orders().submit(); }
}
export function start() { Orders.main(); }`;
  const handle = registerLoadTimeAspect([{ pointcut: within('/positions/orders.js').and(execution('*')), advice: around((_jp, proceed) => proceed()) }]);
  try {
    const text = editSource({ url: 'file:///positions/orders.js', format: 'module', source })!.code;
    const { start, Orders } = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as {
      start: () => void;
      Orders: new () => { later(): Promise<void> };
    };
    const frames = (error: unknown): readonly string[] =>
      (error as Error).stack!.split('\n').flatMap((line) => {
        const [, name, place] = /at (?:async )?(\S+).*?(data:|spark-proxy:weave\/[^/)]*)/.exec(line) ?? [];
        return name === undefined ? [] : [place === 'data:' ? name : place!];
      });
    let thrown: unknown;
    // Advice has frames of its own.
    Error.stackTraceLimit = 50;
    try {
      start();
    } catch (error) {
      thrown = error;
    }
    const own = frames(thrown).filter((name) => !name.startsWith('spark-proxy:'));
    expect(own).toEqual(['#check', 'Orders.submit', 'main', 'start'].map((name) => expect.stringContaining(name.split('.').at(-1)!)));
    expect(frames(thrown).filter((name) => name.startsWith('spark-proxy:')).length).toBeGreaterThan(0);
    const rejected = await new Orders().later().catch((error: unknown) => error);
    expect(frames(rejected).filter((name) => !name.startsWith('spark-proxy:'))).toEqual([
      expect.stringContaining('check'),
      expect.stringContaining('submit'),
      expect.stringContaining('later'),
    ]);
  } finally {
    Error.stackTraceLimit = 10;
    handle.unweave();
  }
});
