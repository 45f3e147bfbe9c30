import type { DispatcherEffect, DispatcherEvent } from '../../src/dispatcher/contract.ts';

/** A line of the trace. */
export function describe(what: DispatcherEvent | DispatcherEffect): string {
  const parts: string[] = [what.type];
  for (const [name, value] of Object.entries(what)) {
    if (name === 'type' || name === 'now') continue;
    if (name === 'tasks' || name === 'submissions') {
      const items = value as { epoch?: number; task?: { taskId: number }; taskId?: number }[];
      parts.push(items.map((item) => `${(item.task ?? (item as { taskId: number })).taskId}${item.epoch === undefined ? '' : `@${item.epoch}`}`).join(','));
    } else if (name === 'update') {
      const { state, taskId } = value as { state: string; taskId: number };
      parts.push(`${state} ${taskId}`);
    } else if (name === 'worker') parts.push((value as { id: string }).id);
    else if (name === 'holding') parts.push(`holding ${(value as { taskId: number; epoch: number }[]).map((one) => `${one.taskId}@${one.epoch}`).join(',')}`);
    else parts.push(typeof value === 'object' ? JSON.stringify(value) : String(value));
  }
  return parts.join(' ');
}
