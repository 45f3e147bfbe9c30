import sinon from 'sinon';
import { expect, test } from 'vitest';
import { EventBus } from '../../src/core/events.ts';

test('a listener that throws is reported and does not stop the others', () => {
  const logger = { debug: sinon.fake(), info: sinon.fake(), warn: sinon.fake(), error: sinon.fake() };
  const bus = new EventBus<{ ping: number }>(logger);
  const second = sinon.fake();
  bus.on('ping', () => {
    throw new Error('broken listener');
  });
  const remove = bus.on('ping', second);
  bus.emit('ping', 1);
  remove();
  bus.emit('ping', 2);
  expect(second.args).toEqual([[1]]);
  expect(logger.error.callCount).toBe(2);
  expect(bus.has('ping')).toBe(true);
});
