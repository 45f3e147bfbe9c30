import type { Placement } from '../protocol/application.ts';
import type { Host } from '../selectors/contract.ts';

type Place = Pick<Host, 'id' | 'host' | 'labels'>;

/** Only what must be: preferences make no difference to who may run a task. Undefined: anyone may. */
export function requirement(placement: Placement | undefined): Placement | undefined {
  const requiredHosts = placement?.requiredHosts ?? [];
  const requiredLabels = placement?.requiredLabels ?? {};
  if (requiredHosts.length === 0 && Object.keys(requiredLabels).length === 0) return undefined;
  return { requiredHosts, requiredLabels };
}

/** The same for all that require the same. */
export function placementKey(kind: string, { requiredHosts = [], requiredLabels = {} }: Placement): string {
  return `${kind}\n${JSON.stringify([[...requiredHosts].sort(), Object.entries(requiredLabels).sort(([a], [b]) => (a < b ? -1 : 1))])}`;
}

export function admits(placement: Placement | undefined, place: Place): boolean {
  if (placement === undefined) return true;
  const { requiredHosts = [], requiredLabels = {} } = placement;
  return (requiredHosts.length === 0 || isOneOf(requiredHosts, place)) && hasLabels(requiredLabels, place);
}

/** The hosts that are preferred, or all when none of them is. */
export function preferred<T extends Place>({ preferredHosts = [], preferredLabels = {} }: Placement, hosts: readonly T[]): readonly T[] {
  const wantsLabels = Object.keys(preferredLabels).length > 0;
  if (preferredHosts.length === 0 && !wantsLabels) return hosts;
  const near = hosts.filter((host) => isOneOf(preferredHosts, host) || (wantsLabels && hasLabels(preferredLabels, host)));
  return near.length === 0 ? hosts : near;
}

function isOneOf(names: readonly string[], { id, host }: Place): boolean {
  return names.includes(id) || names.includes(host);
}

function hasLabels(labels: Readonly<Record<string, string>>, place: Place): boolean {
  for (const [name, value] of Object.entries(labels)) if (place.labels[name] !== value) return false;
  return true;
}
