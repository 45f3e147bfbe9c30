import { around, before, execution, handleOf, weave, weaveConstructor, after } from '../../src/aspects/index.ts';

/** Runs the case BATCH times (a literal there: an exported constant would be read at every turn). What it returns is kept, so that nothing can be optimised away. */
export type Loop = () => number | Promise<number>;
export const BATCH = 1000;

export interface Case {
  readonly name: string;
  /** The case it is compared with. */
  readonly against?: string;
  /** Largest ratio that meets the target. */
  readonly target?: number;
  /** @defaultValue false: it needs what `weavingPeers()` installs */
  readonly peer?: boolean;
  setup(): Loop | Promise<Loop>;
}

export class Counter {
  add(a: number, b: number): number {
    return (a + b) | 0;
  }
  async addLater(a: number, b: number): Promise<number> {
    return (a + b) | 0;
  }
}

export let calls = 0;
/** What the advice of every framework does. */
export function tick(): void {
  calls = (calls + 1) | 0;
}

export function syncLoop(counter: Pick<Counter, 'add'> = new Counter()): Loop {
  return () => {
    let sum = 0;
    for (let i = 0; i < 1000; i++) sum = (sum + counter.add(i, 1)) | 0;
    return sum;
  };
}

export function asyncLoop(counter: Pick<Counter, 'addLater'> = new Counter()): Loop {
  return async () => {
    let sum = 0;
    for (let i = 0; i < 1000; i++) sum = (sum + (await counter.addLater(i, 1))) | 0;
    return sum;
  };
}

export class Point {
  declare readonly x: number; // no class fields: they are slow to define, and would hide the rest
  declare readonly y: number;
  constructor(x: number, y: number) {
    this.x = x;
    this.y = y;
  }
}

export let captured: unknown;

export function constructLoop(Class: typeof Point): Loop {
  return () => {
    let sum = 0;
    for (let i = 0; i < 1000; i++) sum = (sum + new Class(i, 1).x) | 0;
    return sum;
  };
}

export const count = before(() => {
  calls = (calls + 1) | 0;
});
export const capture = after((jp) => {
  captured = jp.result;
});
export const passOn = () => around((_jp, proceed) => proceed());

/** Weaving of classes at hand. */
export const RUN_TIME: readonly Case[] = [
  { name: 'direct', setup: syncLoop },
  {
    name: '@Before',
    against: 'direct',
    target: 4,
    setup() {
      weave(Counter, execution('add'), count);
      return syncLoop();
    },
  },
  {
    name: '@Before reading the join point',
    against: 'direct',
    target: 4,
    setup() {
      weave(
        Counter,
        execution('add'),
        before((jp) => {
          calls = (calls + (jp.args[0] as number)) | 0;
        }),
      );
      return syncLoop();
    },
  },
  {
    name: '@Around',
    against: 'direct',
    target: 5,
    setup() {
      weave(Counter, execution('add'), passOn());
      return syncLoop();
    },
  },
  {
    name: 'three @Around',
    against: 'direct',
    target: 9.6,
    setup() {
      for (let i = 0; i < 3; i++) weave(Counter, execution('add'), passOn());
      return syncLoop();
    },
  },
  {
    name: 'advice off',
    against: 'direct',
    target: 1.1,
    setup() {
      weave(Counter, execution('add'), passOn()).disable();
      return syncLoop();
    },
  },
  {
    name: 'advice off again after use',
    against: 'direct',
    setup() {
      const handle = weave(Counter, execution('add'), passOn());
      const loop = syncLoop();
      for (let i = 0; i < 1000; i++) void loop();
      handle.disable();
      return loop;
    },
  },
  { name: 'async direct', setup: asyncLoop },
  {
    name: 'async @Before',
    against: 'async direct',
    target: 1.5,
    setup() {
      weave(Counter, execution('addLater'), count);
      return asyncLoop();
    },
  },
  {
    name: 'async @Around',
    against: 'async direct',
    target: 1.5,
    setup() {
      weave(Counter, execution('addLater'), passOn());
      return asyncLoop();
    },
  },
  { name: 'construct direct', setup: () => constructLoop(Point) },
  { name: 'construct @Before', against: 'construct direct', target: 9.6, setup: () => constructLoop(weaveConstructor(Point, count)) },
  {
    name: 'construct off',
    against: 'construct direct',
    target: 9.6,
    setup() {
      const Woven = weaveConstructor(Point, count);
      handleOf(Woven)?.disable();
      return constructLoop(Woven);
    },
  },
  {
    // Keeping the instance makes V8 allocate it, which is most of the cost, so that is what capture is compared with.
    name: 'construct direct, instance kept',
    setup: () => () => {
      let sum = 0;
      for (let i = 0; i < 1000; i++) {
        const point = new Point(i, 1);
        captured = point;
        sum = (sum + point.x) | 0;
      }
      return sum;
    },
  },
  {
    name: 'construct @After, instance kept',
    against: 'construct direct, instance kept',
    target: 5,
    setup: () => constructLoop(weaveConstructor(Point, capture)),
  },
];
