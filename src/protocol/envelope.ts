/**
 * The unit a transport carries: one frame of work, status or control. Metadata is small and fixed; the body is opaque.
 * A frame holds many tasks (see messages.ts), so signing, acknowledging and broker round trips are paid per frame.
 */
export interface Envelope {
  /** Unique; transports and receivers use it to recognise a redelivery. */
  readonly id: string;
  /** What the body is: a name of messages.ts (`tasks`, `status`, `blob`, `cancel`, `announce`...). */
  readonly type: string;
  /** Who sent it (dispatcher, worker or application id). */
  readonly sender: string;
  /** Queue on which the sender reads answers; empty when none is expected. */
  readonly replyTo: string;
  readonly body: Uint8Array;
  /**
   * The beginning of the body, where that is made apart (a signature in front of what is signed): it is spared a copy of the body.
   * Whoever writes an envelope writes both as one body; who has it from a transport in the same process may still see both.
   */
  readonly seal?: Uint8Array | undefined;
  /** What the body says, where it was not encoded: handed over within a process. To read `body` encodes it. */
  readonly content?: Content | undefined;
}

/** A message as it is, instead of its bytes. Nobody else has what it is made of: see handover.ts. */
export interface Content {
  /** Upper bound of the encoded size. */
  readonly bytes: number;
  encode(): Uint8Array;
}

/** An envelope that is encoded when somebody asks for its bytes. */
export class ContentEnvelope implements Envelope {
  readonly id: string;
  readonly type: string;
  readonly sender: string;
  readonly replyTo: string;
  readonly content: Content;
  #body: Uint8Array | undefined = undefined;

  constructor(id: string, type: string, sender: string, replyTo: string, content: Content) {
    this.id = id;
    this.type = type;
    this.sender = sender;
    this.replyTo = replyTo;
    this.content = content;
  }

  get body(): Uint8Array {
    return (this.#body ??= this.content.encode());
  }
}
