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
}
