import { encodeEnvelope } from '../../protocol/codec.ts';
import type { Envelope } from '../../protocol/envelope.ts';
import { EMPTY_BYTES } from '../../protocol/task.ts';
import type { ScriptArgument } from './connection.ts';

/** Smaller bodies travel in their envelopes, many in a message. */
const TOGETHER_BYTES = 2048;

/** A frame for a consumer of this client. */
export interface ParcelFrame {
  readonly consumer: number;
  /** Of the consumer when it was given out. */
  readonly generation: number;
  readonly redelivered: boolean;
  /** Its id in the stream. */
  readonly tag: string;
  /** An envelope, without its body where that is apart. */
  readonly envelope: Buffer;
  readonly body: Buffer | undefined;
  /** Bytes of a body that is beside the queue. */
  readonly length: number | undefined;
}

const NOTHING = Buffer.alloc(0);
/** `<`, and the number of a consumer that shall read by itself no longer. */
const STEP_BACK = 0x3c;

/**
 * Reads what script.ts publishes for a client. A parcel is a line for each frame, `consumer generation redelivered tag size
 * length`, a line that is empty, and envelopes of these sizes one after the other. Where the length is `+` the body is a
 * message that follows; where it is a number, it is beside the queue. Redis lets nothing come between the messages of a parcel.
 * A connection has a reader of its own.
 */
export class ParcelReader {
  readonly #receive: (frame: ParcelFrame) => void;
  readonly #stepBack: (consumer: number) => void;
  #lines: readonly string[] = [];
  #next = 0;
  #envelopes: Buffer = NOTHING;
  #at = 0;
  /** Its body is the next message. */
  #half: ParcelFrame | undefined;

  constructor(receive: (frame: ParcelFrame) => void, stepBack: (consumer: number) => void) {
    this.#receive = receive;
    this.#stepBack = stepBack;
  }

  read(message: Buffer): void {
    const half = this.#half;
    if (half === undefined) this.#open(message);
    else {
      this.#half = undefined;
      this.#receive({ ...half, body: message });
    }
    while (this.#next < this.#lines.length && this.#half === undefined) this.#take(this.#lines[this.#next++] as string);
  }

  #open(message: Buffer): void {
    if (message[0] === STEP_BACK) return this.#stepBack(Number(message.toString('latin1', 1)));
    const end = message.indexOf('\n\n', 0, 'latin1');
    if (end < 0) return;
    this.#lines = message.toString('latin1', 0, end).split('\n');
    this.#next = 0;
    this.#envelopes = message;
    this.#at = end + 2;
  }

  #take(line: string): void {
    const [consumer, generation, again, tag, size, length] = line.split(' ') as [string, string, string, string, string, string];
    const envelope = this.#envelopes.subarray(this.#at, (this.#at += Number(size)));
    const apart = length === '+';
    const frame: ParcelFrame = {
      consumer: Number(consumer),
      generation: Number(generation),
      redelivered: again === '1',
      tag,
      envelope,
      body: undefined,
      length: apart || length === '-' ? undefined : Number(length),
    };
    if (apart) this.#half = frame;
    else this.#receive(frame);
  }
}

/** An envelope with its body in it, or its body apart, which saves a copy. */
export function pushFrame(args: ScriptArgument[], envelope: Envelope): void {
  const { body } = envelope;
  if (body.length <= TOGETHER_BYTES) args.push(encodeEnvelope(envelope), '');
  else args.push(encodeEnvelope({ ...envelope, body: EMPTY_BYTES }), body);
}
