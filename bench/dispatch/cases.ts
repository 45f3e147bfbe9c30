import { CELERY } from '../support/peers.ts';
import type { Spec } from './systems/contract.ts';

/** One subject of side-by-side.ts. */
export interface Case {
  /** Names its figures. */
  readonly key: string;
  /** For people. */
  readonly name: string;
  readonly spec: Omit<Spec, 'key' | 'address'>;
  /** Where it needs no server. */
  readonly address?: string;
  readonly server?: 'redis' | 'rabbitmq' | undefined;
  /** Its keys in the server carry the name of a cluster. */
  readonly clustered?: boolean;
  /** From where it comes, if it is another system. */
  readonly peer?: 'node' | 'python';
  /** False: its single round trips say nothing. */
  readonly trip?: boolean;
}

const FRAME = 16;
const CONCURRENCY = 64;

interface Way {
  readonly key: string;
  readonly name: string;
  readonly address?: string;
  readonly server?: Case['server'];
  readonly queueType?: 'quorum' | 'classic';
}

/** The transports, as they are measured alone and under the dispatcher. */
const WAYS: readonly Way[] = [
  { key: 'memory', name: 'memory', address: 'memory:bench' },
  { key: 'tcp', name: 'tcp', address: 'tcp://127.0.0.1:0' },
  { key: 'redis', name: 'Redis', server: 'redis' },
  { key: 'quorum', name: 'RabbitMQ, quorum queues', server: 'rabbitmq', queueType: 'quorum' },
  { key: 'classic', name: 'RabbitMQ, classic queues', server: 'rabbitmq', queueType: 'classic' },
];

function ours(way: Way, signed: boolean): Case {
  const { key, name, queueType, ...where } = way;
  return {
    key: `${key}${signed ? '' : '-unsigned'}`,
    name: `spark-proxy, ${name}${signed ? '' : ', signing off'}`,
    spec: { system: 'transport', frame: FRAME, signed, ...(queueType === undefined ? {} : { queueType }) },
    ...where,
    clustered: true,
  };
}

function throughDispatcher(way: Way): Case {
  const { key, name, queueType, ...where } = way;
  return {
    key: `${key}-dispatcher`,
    name: `spark-proxy, ${name}, through the dispatcher`,
    spec: { system: 'dispatcher', frame: FRAME, signed: key !== 'memory', ...(queueType === undefined ? {} : { queueType }) },
    ...where,
    clustered: true,
  };
}

const bullmq = (concurrency: number): Case => ({
  key: `bullmq-${concurrency}`,
  name: `BullMQ 6.7.0, concurrency ${concurrency}`,
  spec: { system: 'bullmq', frame: 1, concurrency },
  server: 'redis',
  peer: 'node',
});
const rawAmqp = (queueType: 'quorum' | 'classic', frame: number): Case => ({
  key: `raw-${queueType}-${frame}`,
  name: `amqplib alone, ${queueType}, ${frame === 1 ? 'one task a message' : `${frame} tasks a message`}`,
  spec: { system: 'raw-rabbitmq', frame, queueType },
  server: 'rabbitmq',
});
const way = (key: string): Way => WAYS.find((each) => each.key === key)!;
const three = (key: string): Case[] => [ours(way(key), true), ours(way(key), false), throughDispatcher(way(key))];

/** In the order they are measured: what is compared stands together. */
export const CASES: readonly Case[] = [
  { key: 'raw-threads', name: 'postMessage alone, batched', spec: { system: 'raw-threads', frame: 1 } },
  { key: 'threads', name: 'spark-proxy, a worker and its runner thread', spec: { system: 'runner-threads', frame: FRAME } },
  { key: 'piscina', name: 'piscina 5.3.2', spec: { system: 'piscina', frame: 1, concurrency: CONCURRENCY }, peer: 'node' },
  // Its frames never leave the process: nobody signs them.
  ours(way('memory'), false),
  throughDispatcher(way('memory')),
  { key: 'raw-tcp', name: 'bare socket, a task a frame, batched', spec: { system: 'raw-tcp', frame: 1 } },
  { key: 'raw-tcp-16', name: 'bare socket, 16 tasks a frame', spec: { system: 'raw-tcp', frame: FRAME }, trip: false },
  ...three('tcp'),
  { key: 'moleculer-tcp', name: 'Moleculer 0.15.2, TCP', spec: { system: 'moleculer', frame: 1 }, peer: 'node' },
  { key: 'raw-redis', name: 'ioredis alone, streams, 16 tasks an entry', spec: { system: 'raw-redis', frame: FRAME }, server: 'redis' },
  ...three('redis'),
  bullmq(CONCURRENCY),
  bullmq(1),
  { key: 'bee-queue', name: 'bee-queue 2.0.0', spec: { system: 'bee-queue', frame: 1, concurrency: CONCURRENCY }, server: 'redis', peer: 'node' },
  { key: 'moleculer-redis', name: 'Moleculer 0.15.2, Redis', spec: { system: 'moleculer', frame: 1 }, server: 'redis', peer: 'node' },
  { key: 'celery', name: `${CELERY}, Redis`, spec: { system: 'bullmq', frame: 1 }, server: 'redis', peer: 'python' },
  rawAmqp('quorum', FRAME),
  ...three('quorum'),
  rawAmqp('classic', FRAME),
  rawAmqp('classic', 1),
  ...three('classic'),
];
