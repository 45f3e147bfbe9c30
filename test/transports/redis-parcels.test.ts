import { expect, it } from 'vitest';
import { ParcelReader, type ParcelFrame } from '../../src/transports/redis/parcels.ts';

function reader(): { read: (...messages: string[]) => void; got: () => unknown[][] } {
  const frames: ParcelFrame[] = [];
  const parcels = new ParcelReader(
    (frame) => frames.push(frame),
    () => undefined,
  );
  return {
    read: (...messages) => messages.forEach((message) => parcels.read(Buffer.from(message, 'latin1'))),
    got: () =>
      frames
        .splice(0)
        .map(({ consumer, generation, redelivered, tag, envelope, body, length }) => [
          consumer,
          generation,
          redelivered,
          tag,
          envelope.toString('latin1'),
          body?.toString('latin1'),
          length,
        ]),
  };
}

it('reads frames that travel together, the newline in one of them included', () => {
  const { read, got } = reader();
  read('1 4 0 7-0 4 -\n2 5 1 7-1 3 -\n\na\n\nbxyz');
  expect(got()).toEqual([
    [1, 4, false, '7-0', 'a\n\nb', undefined, undefined],
    [2, 5, true, '7-1', 'xyz', undefined, undefined],
  ]);
});

it('keeps the order where bodies come apart, and hands on nothing before its body', () => {
  const { read, got } = reader();
  read('1 1 0 1-0 1 -\n1 1 0 1-1 1 +\n1 1 0 1-2 1 -\n1 1 0 1-3 1 +\n\nabcd');
  expect(got().map(([, , , tag]) => tag)).toEqual(['1-0']);
  read('1 1 0 9-9 1 -\n\nnot a parcel, a body');
  expect(got().map(([, , , tag, envelope, body]) => [tag, envelope, body])).toEqual([
    ['1-1', 'b', '1 1 0 9-9 1 -\n\nnot a parcel, a body'],
    ['1-2', 'c', undefined],
  ]);
  read('', '1 1 0 2-0 1 -\n\nz');
  expect(got().map(([, , , tag, envelope, body]) => [tag, envelope, body])).toEqual([
    ['1-3', 'd', ''],
    ['2-0', 'z', undefined],
  ]);
});

it('tells how long a body beside the queue is', () => {
  const { read, got } = reader();
  read('3 1 0 1-0 4 600000\n\nhead');
  expect(got()).toEqual([[3, 1, false, '1-0', 'head', undefined, 600_000]]);
});

it('ignores what is no parcel, and goes on', () => {
  const { read, got } = reader();
  read('x', '', '1 1 0 1-0 1 -\n\na');
  expect(got()).toHaveLength(1);
});
