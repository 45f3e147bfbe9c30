import { EventEmitter } from 'node:events';

/** How a result ends that is not there at once: a generator when it is exhausted, a stream when it has been read. */
export interface Outcome {
  readonly returned: ((value: unknown) => unknown) | undefined;
  readonly threw: ((error: unknown) => unknown) | undefined;
}

type Kind = 'generator' | 'asyncGenerator' | 'webStream' | 'nodeStream';

interface NodeStream {
  on(event: string | symbol, listener: (...args: never[]) => void): unknown;
  once(event: string | symbol, listener: (...args: never[]) => void): unknown;
  destroy(error?: unknown): unknown;
  readonly readableEnded?: boolean;
}

/** What kind of unfinished result this is. Only generator objects count: other iterators are values that are handed out. */
function kindOf(result: object): Kind | undefined {
  const tag: unknown = (result as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  if (tag === 'Generator') return 'generator';
  if (tag === 'AsyncGenerator') return 'asyncGenerator';
  if (tag === 'ReadableStream') return 'webStream';
  const { pipe, readable } = result as { pipe?: unknown; readable?: unknown };
  return typeof pipe === 'function' && readable === true ? 'nodeStream' : undefined;
}

type Step = 'next' | 'return' | 'throw';
type Steps = Record<Step, (value?: unknown) => unknown>;

/** The generator with its steps replaced; everything else is its own. */
function withSteps(generator: object, step: (run: () => unknown, name: Step) => unknown): object {
  const steps = generator as Steps;
  const define = (name: Step): PropertyDescriptor => ({
    value: (...args: [unknown?]) => step(() => steps[name](...args), name),
    configurable: true,
    writable: true,
  });
  return Object.create(generator, { next: define('next'), return: define('return'), throw: define('throw') }) as object;
}

function overGenerator(generator: object, { returned, threw }: Outcome): object {
  let over = false;
  return withSteps(generator, (run) => {
    if (over) return run();
    let step: IteratorResult<unknown>;
    try {
      step = run() as IteratorResult<unknown>;
    } catch (error) {
      over = true;
      threw?.(error);
      throw error;
    }
    if (step.done === true) {
      over = true;
      returned?.(step.value);
    }
    return step;
  });
}

function overAsyncGenerator(generator: object, { returned, threw }: Outcome): object {
  let over = false;
  return withSteps(generator, (run) =>
    (run() as Promise<IteratorResult<unknown>>).then(
      async (step) => {
        if (step.done === true && !over) {
          over = true;
          await returned?.(step.value);
        }
        return step;
      },
      async (error: unknown) => {
        if (!over) {
          over = true;
          await threw?.(error);
        }
        throw error;
      },
    ),
  );
}

function overWebStream(stream: ReadableStream<unknown>, { returned, threw }: Outcome): ReadableStream<unknown> {
  const reader = stream.getReader();
  return new ReadableStream<unknown>(
    {
      async pull(controller) {
        let chunk: { readonly done: boolean; readonly value?: unknown };
        try {
          chunk = await reader.read();
        } catch (error) {
          await threw?.(error);
          throw error;
        }
        if (!chunk.done) {
          controller.enqueue(chunk.value);
          return;
        }
        await returned?.(undefined);
        controller.close();
      },
      async cancel(reason) {
        await reader.cancel(reason);
        await returned?.(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

function overNodeStream(stream: NodeStream, { returned, threw }: Outcome): object {
  let over = false;
  const hear = (listener: ((value: unknown) => unknown) | undefined, value: unknown): void => {
    if (over) return;
    over = true;
    try {
      listener?.(value);
    } catch (error) {
      stream.destroy(error);
    }
  };
  stream.once('end', () => hear(returned, undefined));
  stream.once('close', () => hear(returned, undefined));
  // Watching is not handling: an error nobody handles still ends the process.
  stream.on(EventEmitter.errorMonitor, (error: unknown) => hear(threw, error));
  return stream;
}

export const endings = {
  /** The result, which tells its outcome when it has ended; undefined when it is an ordinary value. Errors of who is told are errors of the result. */
  hear(result: unknown, outcome: Outcome): unknown {
    if (typeof result !== 'object' || result === null) return undefined;
    switch (kindOf(result)) {
      case 'generator':
        return overGenerator(result, outcome);
      case 'asyncGenerator':
        return overAsyncGenerator(result, outcome);
      case 'webStream':
        return overWebStream(result as ReadableStream<unknown>, outcome);
      case 'nodeStream':
        return overNodeStream(result as never, outcome);
      case undefined:
        return undefined;
    }
  },

  /** A generator each step of which runs inside `enter`; any other result as it is. */
  resume(result: unknown, enter: (run: () => unknown) => unknown): unknown {
    if (typeof result !== 'object' || result === null) return result;
    const kind = kindOf(result);
    return kind === 'generator' || kind === 'asyncGenerator' ? withSteps(result, (run) => enter(run)) : result;
  },
};
