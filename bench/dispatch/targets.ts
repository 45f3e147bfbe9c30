import type { Figures } from '../support/figures.ts';
import { compare, rounded, type Row } from '../support/row.ts';
import { CASES } from './cases.ts';

type What = 'rate' | 'cpu' | 'trip';
type Bound = { readonly atLeast: number } | { readonly atMost: number };
/** Key of ours, what, key of what it is compared with, bound. */
type Target = readonly [ours: string, what: What, base: string, bound: Bound];

const UNITS = { rate: 'tasks/s', cpu: 'CPU us/task', trip: 'ms' } as const;
const SUFFIXES = { rate: '', cpu: ', CPU', trip: ', one task under way' } as const;

/** Signing on, but for memory:, which never signs. Bounds of processor time are to the bare client of the same run. */
const TARGETS: readonly Target[] = [
  ['memory-unsigned', 'rate', 'raw-tcp', { atLeast: 1.76 }],
  ['memory-unsigned', 'cpu', 'raw-tcp', { atMost: 0.26 }],
  ['threads', 'rate', 'raw-threads', { atLeast: 0.5 }],
  ['threads', 'rate', 'piscina', { atLeast: 4 }],
  ['threads', 'cpu', 'raw-threads', { atMost: 2.2 }],
  ['threads', 'trip', 'raw-threads', { atMost: 1.5 }],
  ['tcp', 'rate', 'raw-tcp', { atLeast: 0.4 }],
  ['tcp', 'cpu', 'raw-tcp', { atMost: 2.6 }],
  ['tcp', 'trip', 'raw-tcp', { atMost: 1.5 }],
  ['redis', 'rate', 'raw-redis', { atLeast: 0.6 }],
  ['redis', 'cpu', 'raw-redis', { atMost: 1.77 }],
  ['redis', 'trip', 'raw-redis', { atMost: 1.3 }],
  ['redis', 'rate', 'bullmq-64', { atLeast: 7 }],
  ['redis', 'rate', 'bee-queue', { atLeast: 4 }],
  ['redis', 'rate', 'celery', { atLeast: 100 }],
  ['quorum', 'rate', 'raw-quorum-16', { atLeast: 0.65 }],
  ['quorum', 'cpu', 'raw-quorum-16', { atMost: 1.5 }],
  ['quorum', 'trip', 'raw-quorum-16', { atMost: 1.3 }],
  ['classic', 'rate', 'raw-classic-16', { atLeast: 0.65 }],
  ['classic', 'cpu', 'raw-classic-16', { atMost: 1.6 }],
  ['classic', 'trip', 'raw-classic-16', { atMost: 1.3 }],
  ['classic', 'rate', 'raw-classic-1', { atLeast: 3 }],
  ['quorum', 'rate', 'bullmq-64', { atLeast: 4.5 }],
];

/** A row a target whose both sides were measured, and did not fail later. */
export function targets(figures: Figures, isWhole: (key: string) => boolean): Row[] {
  const names = new Map(CASES.map(({ key, name }) => [key, name]));
  return TARGETS.flatMap(([ours, what, base, bound]): Row[] => {
    const [mine, theirs] = [`${ours} ${what}`, `${base} ${what}`];
    if (!isWhole(ours) || !isWhole(base) || !figures.has(mine) || !figures.has(theirs)) return [];
    const value = figures.get(mine);
    return [
      {
        bench: 'dispatch',
        case: `target: ${names.get(ours)}${SUFFIXES[what]}`,
        unit: UNITS[what],
        value: rounded(value),
        ...compare(value, figures.get(theirs), names.get(base) as string, bound),
      },
    ];
  });
}
