import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { after, afterReturning, afterThrowing, execution, weave } from '../../../src/aspects/index.ts';
import type { Cases } from './fixture.ts';

function source() {
  const log: string[] = [];
  class Source {
    *numbers(n: number): Generator<number, string, string | undefined> {
      for (let i = 0; i < n; i++) log.push(`got ${yield i}`);
      return 'done';
    }
    *broken(): Generator<number> {
      yield 1;
      throw new Error('broken');
    }
    async *later(n: number): AsyncGenerator<number, string> {
      for (let i = 0; i < n; i++) yield i;
      if (n > 5) throw new Error('too many');
      return 'done';
    }
    readable(chunks: string[]): Readable {
      return Readable.from(chunks);
    }
    web(chunks: string[]): ReadableStream<string> {
      return new ReadableStream({
        start(controller) {
          for (const chunk of chunks) controller.enqueue(chunk);
          if (chunks.length > 2) controller.error(new Error('too long'));
          else controller.close();
        },
      });
    }
    list(): number[] {
      return [1];
    }
  }
  weave(Source, execution('*'), [
    afterReturning((_jp, result) => void log.push(`returned ${String(result)}`)),
    afterThrowing((_jp, error) => void log.push(`threw ${(error as Error).message}`)),
    after((jp) => void log.push(`after ${String(jp.name)}`)),
  ]);
  return { from: new Source(), log };
}

/** After advice of what a call only begins: generators and streams. */
export const streams: Cases = {
  'after advice of a generator runs once, when it is exhausted, and sees its return value': () => {
    const { from, log } = source();
    const generator = from.numbers(2);
    assert.equal(generator.next().value, 0);
    assert.equal(generator.next('a').value, 1);
    assert.deepEqual(log, ['got a']);
    assert.deepEqual(generator.next('b'), { value: 'done', done: true });
    assert.deepEqual(generator.next(), { value: undefined, done: true });
    assert.deepEqual(log, ['got a', 'got b', 'returned done', 'after numbers']);
  },
  'a generator that is left early has returned, one that throws has thrown': () => {
    const { from, log } = source();
    for (const _ of from.numbers(5)) break;
    assert.deepEqual(log.splice(0), ['returned undefined', 'after numbers']);
    assert.throws(() => [...from.broken()], /broken/);
    assert.deepEqual(log.splice(0), ['threw broken', 'after broken']);
    assert.throws(() => from.numbers(1).throw(new Error('mine')), /mine/);
    assert.deepEqual(log, ['threw mine', 'after numbers']);
  },
  'a woven generator is still one': () => {
    const { from } = source();
    const generator = from.numbers(3);
    assert.equal(Object.prototype.toString.call(generator), '[object Generator]');
    assert.equal(generator[Symbol.iterator](), generator);
    assert.deepEqual([...generator], [0, 1, 2]);
  },
  'after advice of an async generator runs when it is exhausted or has failed': async () => {
    const { from, log } = source();
    const seen: number[] = [];
    for await (const n of from.later(2)) seen.push(n);
    assert.deepEqual(
      [seen, log.splice(0)],
      [
        [0, 1],
        ['returned done', 'after later'],
      ],
    );
    await assert.rejects(async () => {
      for await (const _ of from.later(6));
    }, /too many/);
    assert.deepEqual(log, ['threw too many', 'after later']);
  },
  'after advice of a Node stream runs when it has ended, and does not handle its error': async () => {
    const { from, log } = source();
    const stream = from.readable(['a', 'b']);
    assert.deepEqual(log, []);
    assert.deepEqual(await stream.toArray(), ['a', 'b']);
    if (!stream.closed) await once(stream, 'close');
    assert.deepEqual(log.splice(0), ['returned undefined', 'after readable']);
    const failing = from.readable(['a']);
    failing.destroy(new Error('gone'));
    const [error] = (await once(failing, 'error')) as [Error];
    assert.equal(error.message, 'gone');
    assert.deepEqual(log, ['threw gone', 'after readable']);
  },
  'after advice of a web stream runs when it has been read, failed or cancelled': async () => {
    const { from, log } = source();
    const chunks: string[] = [];
    for await (const chunk of from.web(['a', 'b']) as unknown as AsyncIterable<string>) chunks.push(chunk);
    assert.deepEqual(
      [chunks, log.splice(0)],
      [
        ['a', 'b'],
        ['returned undefined', 'after web'],
      ],
    );
    await assert.rejects(from.web(['a', 'b', 'c']).getReader().read(), /too long/);
    assert.deepEqual(log.splice(0), ['threw too long', 'after web']);
    await from.web(['a']).cancel();
    assert.deepEqual(log, ['returned undefined', 'after web']);
  },
  'what is iterable but whole is a value': () => {
    const { from, log } = source();
    assert.deepEqual(from.list(), [1]);
    assert.deepEqual(log, ['returned 1', 'after list']);
  },
};
