/**
 * A span of OpenTelemetry for each method of an application that is not changed: also for private methods and classes that are not
 * exported, with errors recorded and parents right across awaits.
 *   npx spark-proxy run examples/12-tracing/main.ts
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { context, ROOT_CONTEXT, SpanStatusCode, trace, type Context, type ContextManager, type Span } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { around, execution, register, within } from 'spark-proxy/aspects';

/** What @opentelemetry/context-async-hooks does. */
const storage = new AsyncLocalStorage<Context>();
const manager: ContextManager = {
  active: () => storage.getStore() ?? ROOT_CONTEXT,
  with: (active, fn, self, ...args) => storage.run(active, () => fn.call(self, ...args)),
  bind: (active, target) => (typeof target === 'function' ? (...args: unknown[]) => storage.run(active, () => target(...args) as unknown) : target) as never,
  enable: () => manager,
  disable: () => manager,
};
context.setGlobalContextManager(manager);
const exporter = new InMemorySpanExporter();
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
const tracer = trace.getTracer('shop');

function fail(span: Span, error: unknown): void {
  span.recordException(error as Error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
  span.end();
}

const traced = around((jp, proceed) =>
  tracer.startActiveSpan(String(jp.signature), (span) => {
    try {
      const result: unknown = proceed();
      if (!(result instanceof Promise)) span.end();
      else
        result.then(
          () => span.end(),
          (error: unknown) => fail(span, error),
        );
      return result;
    } catch (error) {
      fail(span, error);
      throw error;
    }
  }),
);

register({ aspects: [[{ pointcut: execution().and(within('**/12-tracing/shop.ts')), advice: traced }]] });
const { Orders } = await import('./shop.ts');

const orders = new Orders();
console.log(await orders.submit('plum'));
await orders.submit('pear').catch((error: Error) => console.log(error.message));

const spans = exporter.getFinishedSpans();
const show = (parent: ReadableSpan | undefined, depth: number): void => {
  for (const span of spans) {
    if (span.parentSpanContext?.spanId !== parent?.spanContext().spanId) continue;
    console.log(`${'  '.repeat(depth)}${span.name}${span.status.code === SpanStatusCode.ERROR ? ` [${span.status.message}]` : ''}`);
    show(span, depth + 1);
  }
};
show(undefined, 0);
