/** Where the tasks of a context ran: one row an executor, printed when the context stops. */
import { systemClock } from '../core/clock.ts';
import type { EventBus } from '../core/events.ts';
import type { DispatcherStats } from '../dispatcher/contract.ts';
import type { SparkListenerEvents } from '../scheduler/events.ts';
import { table } from './table.ts';

/** What the summary wants to know of the way out. */
export interface SummarySource {
  stats(): { readonly destination: string; readonly captured: number; readonly dispatcher: DispatcherStats | undefined };
}

interface Row {
  tasks: number;
  failed: number;
  busyMs: number;
}

/** Counts from now on; the returned function gives the text. */
export function summarize(events: EventBus<SparkListenerEvents>, source: SummarySource, now: () => number = systemClock.now): () => string {
  const started = now();
  const rows = new Map<string, Row>();
  let jobs = 0;
  events.on('onJobEnd', () => {
    jobs += 1;
  });
  events.on('onTaskEnd', ({ task, state, metrics }) => {
    let row = rows.get(task.executorId);
    if (row === undefined) rows.set(task.executorId, (row = { tasks: 0, failed: 0, busyMs: 0 }));
    if (state === 'FINISHED') row.tasks += 1;
    else row.failed += 1;
    row.busyMs += metrics?.runMs ?? 0;
  });
  return () => {
    const { destination, captured, dispatcher } = source.stats();
    const seconds = ((now() - started) / 1000).toFixed(2);
    const workers = new Map(dispatcher?.workers.map((worker) => [worker.id, worker]) ?? []);
    for (const id of workers.keys()) if (!rows.has(id)) rows.set(id, { tasks: 0, failed: 0, busyMs: 0 });
    const lines = [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, row]) => {
        const worker = workers.get(id);
        const where = worker === undefined ? 'inside' : worker.alive ? 'external' : 'external, lost';
        return [id, worker?.pid ?? process.pid, where, row.tasks, row.failed, (row.busyMs / 1000).toFixed(2)];
      });
    const head = `destination ${destination}: ${jobs} jobs, ${captured} tasks captured at launchTasks, ${dispatcher?.retried ?? 0} retried, ${dispatcher?.handedBack ?? 0} handed back, ${seconds} s`;
    return `${head}\n${table(['executor', 'pid', 'where', 'tasks', 'not finished', 'busy s'], lines)}\n`;
  };
}
