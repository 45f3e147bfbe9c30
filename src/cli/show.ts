import { printable } from '../core/errors.ts';
import { table } from '../observe/table.ts';
import type { ClusterStatus, TaskInfo, WorkerInfo } from '../protocol/admin.ts';
import type { SparkApplicationInfo } from '../protocol/spark-application.ts';

/** A name from the wire as one cell: nothing in it can begin a line or move the cursor. */
function cell(value: string, limit = 80): string {
  return printable(value, limit).replace(/\n/g, '\\n').replace(/\t/g, '\\t');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
}

function labels(of: Readonly<Record<string, string>>): string {
  return cell(
    Object.entries(of)
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
  );
}

export function showHosts(workers: readonly WorkerInfo[]): string {
  if (workers.length === 0) return 'no workers';
  return table(
    ['worker', 'host', 'pid', 'state', 'slots', 'running', 'queued', 'finished', 'failed', 'kinds', 'labels'],
    workers.map((w) => [
      cell(w.id),
      cell(w.host),
      w.pid,
      cell(w.state),
      w.slots,
      w.running,
      w.queued,
      w.finished,
      w.failed,
      cell(w.kinds.join(',')),
      labels(w.labels),
    ]),
  );
}

export function showTasks(tasks: readonly TaskInfo[]): string {
  if (tasks.length === 0) return 'no tasks';
  const rows = table(
    ['application', 'task', 'state', 'worker', 'host', 'time', 'name'],
    tasks.map((t) => [cell(t.application), t.taskId, cell(t.state), cell(t.worker), cell(t.host), seconds(t.ms), cell(t.name)]),
  );
  const stories = tasks
    .filter((t) => t.story !== undefined && t.story !== '')
    .map(
      (t) =>
        `${cell(t.application)} ${t.taskId}:\n${(t.story ?? '')
          .split('\n')
          .map((line) => `  ${cell(line, 300)}`)
          .join('\n')}`,
    );
  return [rows, ...stories].join('\n\n');
}

export function showStatus(status: ClusterStatus): string {
  const { tasks } = status;
  return [
    `${cell(status.leader)} leads under term ${status.term}, for ${seconds(status.upMs)}`,
    `tasks: ${tasks.live} live, ${tasks.submitted} submitted, ${tasks.finished} finished, ${tasks.failed} failed, ${tasks.retried} retried, ${tasks.fenced} fenced, ${tasks.adopted} adopted, ${tasks.parked} parked`,
    '',
    table(
      ['dispatcher', 'role', 'term', 'host', 'pid', 'version'],
      status.dispatchers.map((d) => [cell(d.id), cell(d.role), d.term, cell(d.host), d.pid, cell(d.version)]),
    ),
    '',
    showHosts(status.workers),
    '',
    status.applications.length === 0
      ? 'no applications'
      : table(
          ['application', 'name', 'host', 'pid', 'through', 'live', 'finished', 'failed'],
          status.applications.map((a) => [cell(a.id), cell(a.name), cell(a.host), a.pid, a.attached ? 'service' : 'itself', a.live, a.finished, a.failed]),
        ),
  ].join('\n');
}

/** A block an application of Apache Spark: where its tasks ran, in all and by worker, and the executors it has. */
export function showApps(applications: readonly SparkApplicationInfo[]): string {
  if (applications.length === 0) return 'no applications of Apache Spark';
  const blocks = applications.map((one) => {
    const { figures: f } = one;
    const executors = new Map(one.executors.map((executor) => [executor.workerId, executor]));
    const ids = new Set([...f.workers.map(({ workerId }) => workerId), ...executors.keys()]);
    const rows = [...ids].map((id) => {
      const done = f.workers.find(({ workerId }) => workerId === id);
      const executor = executors.get(id);
      const host = executor?.host ?? done?.host ?? '';
      return [cell(id), cell(host), cell(executor?.executorId ?? ''), executor?.cores ?? 0, done?.captured ?? 0, done?.finished ?? 0, done?.fallenBack ?? 0];
    });
    return [
      `${cell(one.id)}  ${cell(one.name)}  Spark ${cell(one.sparkVersion)}, ${one.linked ? `destination ${one.mode}` : 'over'}, driver ${cell(one.driverHost)} pid ${one.pid}, run ${cell(one.runId)}${one.uiUrl === '' ? '' : `, ${cell(one.uiUrl)}`}`,
      `  tasks: ${f.endedOutside} ended outside, ${f.endedInside} inside; captured ${f.captured}, re-routed ${f.rerouted}, fallen back ${f.fallenBack}, not captured ${f.direct}, moved by the selector ${f.moved}, live ${f.live}`,
      `  until a task was heard to run: p50 ${f.latency.p50Ms} ms, p99 ${f.latency.p99Ms} ms`,
      ...(rows.length === 0 ? [] : [table(['worker', 'host', 'executor', 'cores', 'captured', 're-routed', 'fallen back'], rows).replaceAll(/^/gm, '  ')]),
    ].join('\n');
  });
  return blocks.join('\n\n');
}
