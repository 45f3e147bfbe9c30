import { createServer, Socket } from 'node:net';
import { createReadStream, readFile } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { MessageChannel } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { SERIALIZE, serializeGraph } from '../../src/closure/index.ts';
import { SparkProxyError } from '../../src/core/errors.ts';
import { Secret } from './fixtures/geometry.ts';
import { Hid } from './fixtures/symbols.ts';

function refusal(fn: unknown): string {
  try {
    serializeGraph(fn);
  } catch (error) {
    if (!SparkProxyError.is(error)) throw error;
    expect(error.code).toBe('SP_CLOSURE_NOT_SERIALIZABLE');
    return error.message;
  }
  throw new Error('it was serialized');
}

const inside = 'open it inside mapPartitions, once per partition';

test('a socket is refused with the path to it and what to do', () => {
  const cfg = { db: { conn: new Socket() } };
  const f = (): unknown => cfg.db.conn;
  expect(refusal(f)).toBe(
    `Task not serializable: instance of Socket (native handle)\n  captured through: function f -> cfg -> .db -> .conn\n  hint: ${inside}`,
  );
});

test('the path goes through arrays, maps, sets, functions, this and classes', () => {
  const socket = new Socket();
  const inArray = [[socket]];
  expect(refusal(() => inArray)).toContain('captured through: function (anonymous) -> inArray -> [0] -> [0]\n');
  const inMap = new Map([['k', new Set([socket])]]);
  expect(refusal(() => inMap)).toContain('-> inMap -> .get("k") -> (entry #0)\n');
  const helper = (): unknown => socket;
  const caller = (): unknown => helper();
  expect(refusal(caller)).toContain('captured through: function caller -> helper -> socket\n');
  class Job {
    conn = socket;
    task = (): unknown => this.conn;
  }
  expect(refusal(new Job().task)).toContain('captured through: function task -> this -> .conn\n');
  class Shared {
    static pool = socket;
    get = (): unknown => Shared.pool;
  }
  const shared = new Shared();
  expect(refusal(() => shared)).toContain('-> .pool\n');
});

test('native handles of every kind are refused', async () => {
  const server = createServer();
  const stream = createReadStream(import.meta.filename);
  const handle = await open(import.meta.filename);
  const { port1, port2 } = new MessageChannel();
  const timer = setTimeout(() => undefined, 0);
  const controller = new AbortController();
  class Client extends Socket {}
  const client = new Client();
  try {
    expect(refusal(() => server)).toContain('instance of Server (native handle)');
    expect(refusal(() => stream)).toContain('instance of ReadStream (native handle)');
    expect(refusal(() => handle)).toContain('instance of FileHandle (native handle)');
    expect(refusal(() => port1)).toContain('instance of MessagePort (native handle)');
    expect(refusal(() => timer)).toContain('instance of Timeout (native handle)');
    expect(refusal(() => controller)).toContain('instance of AbortController (native handle)');
    expect(refusal(() => client)).toContain('instance of Client (native handle)');
  } finally {
    clearTimeout(timer);
    stream.destroy();
    port1.close();
    port2.close();
    await handle.close();
  }
});

test('promises, weak collections, proxies, generators and iterators are refused', () => {
  const promise = Promise.resolve(1);
  const weakMap = new WeakMap();
  const weakRef = new WeakRef({});
  const proxy = new Proxy({}, {});
  const generator = (function* () {
    yield 1;
  })();
  const iterator = [1].values();
  const entries = new Map().entries();
  const memory = new SharedArrayBuffer(8);
  expect(refusal(() => promise)).toMatch(/a Promise\n.*promise\n.*await it first/);
  expect(refusal(() => weakMap)).toMatch(/a WeakMap\n.*weakMap\n.*use a Map or Set/);
  expect(refusal(() => weakRef)).toMatch(/a WeakRef\n.*\n.*capture the object itself/);
  expect(refusal(() => proxy)).toMatch(/a Proxy\n.*\n.*capture the object behind it/);
  expect(refusal(() => generator)).toMatch(/a generator object\n.*\n.*generator function/);
  expect(refusal(() => iterator)).toMatch(/an iterator \(Array Iterator\)\n.*\n.*array of its values/);
  expect(refusal(() => entries)).toMatch(/a Map Iterator|a Object|an iterator/);
  expect(refusal(() => memory)).toMatch(/a SharedArrayBuffer\n.*\n.*copy/);
});

test('#private state is refused, for classes of the program and imported ones, and the protocol is the way out', () => {
  class Account {
    #balance = 3;
    balance(): number {
      return this.#balance;
    }
  }
  const account = new Account();
  const secret = new Secret();
  expect(refusal(() => account)).toMatch(/instance of Account with #private state\n.*account\n.*spark-proxy\.serialize/);
  expect(refusal(() => secret)).toContain('instance of Secret with #private state');
  class Open extends Account {
    [SERIALIZE](): { reviver: string; data: unknown } {
      return { reviver: 'account', data: this.balance() };
    }
  }
  const opened = new Open();
  expect(serializeGraph(() => opened).bytes.length).toBeGreaterThan(0);
});

test('#private state is refused in subclasses of what the language and Node make, too', () => {
  class List extends Array<number> {
    #s = 5;
    sum(): number {
      return this.#s;
    }
  }
  class Table extends Map {
    #s = 5;
    sum(): number {
      return this.#s;
    }
  }
  class Failure extends Error {
    #s = 5;
    sum(): number {
      return this.#s;
    }
  }
  class Bytes extends Uint8Array {
    #s = 5;
    sum(): number {
      return this.#s;
    }
  }
  class Place extends URL {
    #s = 5;
    sum(): number {
      return this.#s;
    }
  }
  class Inner extends List {}
  for (const value of [new List(), new Table(), new Failure(), new Bytes(2), new Place('http://x/'), new Inner()]) {
    expect(refusal(() => value)).toMatch(/instance of (List|Table|Failure|Bytes|Place) with #private state\n.*-> value\n.*plain fields/);
  }
});

test('a key that only the module of the class knows is refused', () => {
  class Sub extends Hid {}
  for (const value of [new Hid(), new Sub()]) {
    expect(refusal(() => value)).toMatch(/the key Symbol\(hidden\), which.*\n.*-> value -> \[Symbol\(hidden\)\]\n.*Symbol\.for/);
  }
});

test('what throws while it is read is refused, with its path', () => {
  const hostile = new Proxy(
    {},
    {
      getPrototypeOf: () => {
        throw new Error('trap');
      },
    },
  );
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  expect(refusal(proxy)).toContain('captured through: a Proxy\n');
  for (const value of [hostile, proxy]) expect(refusal(() => [value])).toMatch(/a Proxy\n.*-> value\n.*capture the object behind it/);
  const broken = {
    get [SERIALIZE](): unknown {
      throw new Error('not now');
    },
  };
  expect(refusal(() => broken)).toMatch(/cannot be read: not now\n.*-> broken\n.*plain data/);
  const gone = new Uint8Array(8);
  structuredClone(gone, { transfer: [gone.buffer] });
  expect(refusal(() => gone)).toMatch(/an ArrayBuffer that was transferred away\n.*-> gone -> \.buffer\n.*capture a copy/);
});

test('what a function cannot take from the class around it is refused', () => {
  class Around extends Object {
    #x = 1;
    viaSuper(): () => unknown {
      return () => super.toString();
    }
    viaPrivate(): () => unknown {
      return () => this.#x;
    }
    viaTarget: () => unknown;
    constructor() {
      super();
      this.viaTarget = () => new.target;
    }
  }
  const around = new Around();
  expect(refusal(around.viaSuper())).toMatch(/uses super of the method around it\n.*\n.*capture its result/);
  expect(refusal(around.viaPrivate())).toMatch(/uses #private names of the class around it\n/);
  expect(refusal(around.viaTarget)).toMatch(/uses new\.target of the constructor around it\n/);
});

test('a class that has lost a member its source would make again is refused', () => {
  class Shrunk {
    kept(): number {
      return 1;
    }
    gone(): number {
      return 2;
    }
  }
  const one = new Shrunk();
  expect(serializeGraph(() => one.kept()).bytes.length).toBeGreaterThan(0);
  delete (Shrunk.prototype as Partial<Shrunk>).gone;
  expect(refusal(() => one.kept())).toMatch(/class Shrunk, whose member gone was deleted\n.*one/);
});

test('what eval names is not seen, and what a class takes from the class around it is not to be had', () => {
  const three = 3;
  // oxlint-disable-next-line no-eval
  expect(refusal((x: number) => x * (eval('three') as number))).toMatch(/an anonymous function, which calls eval\n.*\n.*new Function/);
  expect(three).toBe(3);
  class Vault {
    // oxlint-disable-next-line no-unused-private-class-members -- the class inside uses it
    #code = 7;
    static Reader = class Reader {
      read(vault: Vault): number {
        return vault.#code;
      }
    };
  }
  const { Reader } = Vault;
  expect(refusal((vault: Vault) => new Reader().read(vault))).toMatch(/class Reader, which uses #private names of the class around it\n.*Reader\n/);
});

test('native functions that no global names are refused, with a hint', () => {
  const { resolve } = Promise.withResolvers();
  expect(refusal(() => resolve)).toMatch(/native an anonymous function|native function/);
});

test('what Node keeps for each process is refused with what to do instead', () => {
  const { env } = process;
  expect(refusal(() => env)).toMatch(/process\.env\n.*-> env\n.*\{ \.\.\.process\.env \}/);
  const read = promisify(readFile);
  expect(refusal(() => read)).toMatch(/function readFile, which Node made.*\n.*-> read\n.*make it inside the function/);
});

test('an error thrown by an object that refuses to travel is passed on', () => {
  const context = {
    [SERIALIZE]() {
      throw new SparkProxyError('SP_TEST', 'SparkContext cannot be used inside tasks', 'capture values');
    },
  };
  expect(() => serializeGraph(() => context)).toThrow('SparkContext cannot be used inside tasks');
});

test('a method that another has replaced is refused when it needs the class around it', () => {
  class Base {
    who(): string {
      return 'base';
    }
  }
  class Derived extends Base {
    override who(): string {
      return super.who();
    }
  }
  const { who } = Derived.prototype;
  Derived.prototype.who = () => 'other';
  expect(refusal(() => who)).toMatch(/method who of class Derived, which is no longer on the class and cannot be taken out of it\n.*-> who\n/);
});

test('a class whose computed keys may give other names is refused; those of constants travel', () => {
  let p = 'a';
  let n = 0;
  const key = 'k';
  const names = { of: 'n' };
  class Assigned {
    [p + 'x'](): void {}
  }
  p = 'b';
  class Counted {
    ['m' + n++](): void {}
  }
  class Called {
    [key.toUpperCase()](): void {}
  }
  class Steady {
    [`${key}1`](): void {}
    [names.of](): void {}
    [Symbol.iterator](): void {}
    [Symbol.for('x')](): void {}
  }
  expect(refusal(() => [Assigned, p])).toMatch(/class Assigned, whose member \[p \+ 'x'\] may get another name there\n.*-> Assigned\n/);
  expect(refusal(() => Counted)).toContain("class Counted, whose member ['m' + n++] may");
  expect(refusal(() => Called)).toContain('class Called, whose member [key.toUpperCase()] may');
  expect(serializeGraph(() => Steady).bytes.length).toBeGreaterThan(0);
});
