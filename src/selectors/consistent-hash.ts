import type { TaskDescription } from '../protocol/task.ts';
import type { ClusterView, Host, HostSelector } from './contract.ts';

/** Points of a host on the ring: at 128 the fullest of ten hosts has about 1.2 times its share. */
const POINTS = 128;

/** MurmurHash3's finalizer: spreads every bit of a 32-bit number over all of it. */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

/** Of a task's key: where its input is, else its stage and partition. */
function keyOf(task: TaskDescription): number {
  const [where] = task.preferredLocations;
  return where === undefined ? mix(Math.imul(task.stageId, 0x9e3779b1) ^ task.index) : hashOf(where);
}

interface Ring {
  readonly version: number;
  /** Ascending; `owners[i]` is the host of `points[i]`. */
  readonly points: Uint32Array;
  readonly owners: readonly Host[];
}

function ringOf(view: ClusterView): Ring {
  const all: { readonly point: number; readonly host: Host }[] = [];
  for (const host of view.hosts) {
    const seed = hashOf(host.id);
    for (let i = 0; i < POINTS; i++) all.push({ point: mix(seed + Math.imul(i, 0x9e3779b1)), host });
  }
  all.sort((a, b) => a.point - b.point || (a.host.id < b.host.id ? -1 : 1));
  return { version: view.version, points: Uint32Array.from(all, ({ point }) => point), owners: all.map(({ host }) => host) };
}

/**
 * The same partition of a stage goes to the same host while that host is there; a host that joins or leaves moves only the
 * share of the keys that it gains or held (Karger et al. 1997). When the owner has no credit, the next on the ring takes the task (bounded
 * loads; Mirrokni, Thorup, Zadimoghaddam 2018), so no slot stays idle. The ring is made anew when membership changes.
 */
export function consistentHashSelector(): HostSelector {
  const rings = new WeakMap<object, Ring>();
  return {
    name: 'CONSISTENT_HASH',
    select(task, hosts, view) {
      if (hosts.length === 1) return hosts[0];
      let ring = rings.get(view);
      if (ring === undefined || ring.version !== view.version) rings.set(view, (ring = ringOf(view)));
      const { points, owners } = ring;
      const key = keyOf(task);
      let low = 0;
      let high = points.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((points[middle] as number) < key) low = middle + 1;
        else high = middle;
      }
      for (let i = 0; i < owners.length; i++) {
        const owner = owners[(low + i) % owners.length] as Host;
        if (owner.credit > 0 && hosts.includes(owner)) return owner;
      }
      return hosts[0];
    },
  };
}
