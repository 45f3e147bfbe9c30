import { IdMap } from '../core/id-map.ts';
import type { ApplicationProfile, Placement, SpeculationPolicy, VerifyPolicy } from '../protocol/application.ts';
import { dispatcherErrors } from './errors.ts';
import { requirement } from './placement.ts';
import { RunTimes } from './queue-cost.ts';
import { StageGraph } from './stage-graph.ts';
import type { TaskEntry } from './task-entry.ts';

/** A profile with every default filled in and every value checked. */
export interface ResolvedProfile {
  readonly pool: string;
  readonly weight: number;
  readonly minShare: number;
  readonly priority: number;
  readonly maxLeases: number;
  readonly retryBackoffMs: number;
  readonly retryBackoffMaxMs: number;
  readonly poison: 'fail' | 'hold';
  readonly speculation: Required<SpeculationPolicy> | undefined;
  readonly verify: Required<VerifyPolicy> | undefined;
  readonly placement: Placement | undefined;
  /** Of `placement`, what a worker must have; undefined: anyone will do. */
  readonly required: Placement | undefined;
}

/** What the dispatcher does for applications that do not say. */
export interface ProfileDefaults {
  readonly maxLeases: number;
  readonly retryBackoffMs: number;
}

/** @throws SP_DISPATCHER_BAD_PROFILE */
export function resolveProfile(given: ApplicationProfile, defaults: ProfileDefaults): ResolvedProfile {
  const number = (field: string, value: number | undefined, fallback: number, min: number, max: number): number => {
    if (value === undefined) return fallback;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw dispatcherErrors.BAD_PROFILE({ application: given.application, field, value, reason: `it must be from ${min} to ${max}` });
  };
  const { speculation, verify, placement } = given;
  const quorum = Math.floor(number('verify.quorum', verify?.quorum, 2, 2, 16));
  const isPlaced = placement !== undefined && Object.keys(placement).length > 0;
  return Object.freeze({
    pool: given.pool ?? given.application,
    weight: number('weight', given.weight, 1, 1e-6, 1e6),
    minShare: number('minShare', given.minShare, 0, 0, 1e6),
    priority: number('priority', given.priority, 0, -1e9, 1e9),
    maxLeases: number('maxLeases', given.maxLeases, defaults.maxLeases, 1, 1000),
    retryBackoffMs: number('retryBackoffMs', given.retryBackoffMs, defaults.retryBackoffMs, 0, 3_600_000),
    retryBackoffMaxMs: number('retryBackoffMaxMs', given.retryBackoffMaxMs, 10_000, 0, 3_600_000),
    poison: given.poison ?? 'fail',
    speculation:
      speculation === undefined
        ? undefined
        : {
            quantile: number('speculation.quantile', speculation.quantile, 0.9, 0, 1),
            multiplier: number('speculation.multiplier', speculation.multiplier, 3, 1, 1e6),
            minTaskRuntimeMs: number('speculation.minTaskRuntimeMs', speculation.minTaskRuntimeMs, 100, 0, 3_600_000),
          },
    verify:
      verify === undefined
        ? undefined
        : {
            quorum,
            maxReplicas: Math.floor(number('verify.maxReplicas', verify.maxReplicas, 2 * quorum + 1, quorum, 64)),
            comparator: verify.comparator ?? 'bytes',
            trustAfter: number('verify.trustAfter', verify.trustAfter, 10, 0, 1e9),
            patienceMs: number('verify.patienceMs', verify.patienceMs, 60_000, 1, 86_400_000),
          },
    placement: isPlaced ? placement : undefined,
    required: requirement(placement),
  });
}

/** One application: what it said of itself, its stages, its live tasks. */
export class ApplicationEntry {
  readonly id: string;
  profile: ResolvedProfile;
  /** True: it announced itself, and is remembered while it has no tasks. */
  announced = false;
  readonly tasks = new IdMap<TaskEntry>();
  readonly stages = new StageGraph();
  readonly runTimes = new RunTimes();

  constructor(id: string, profile: ResolvedProfile) {
    this.id = id;
    this.profile = profile;
  }

  get idle(): boolean {
    return !this.announced && this.tasks.size === 0 && this.stages.size === 0;
  }
}

/** What orders see of applications. */
export interface OrderView {
  profile(application: string): ResolvedProfile | undefined;
  /** Milliseconds from the begin of this stage to the end of its job, on all slots; 0 when nothing is known. */
  rank(application: string, stageId: number): number;
  /** Changes with every change of a profile, a stage graph or the number of slots. */
  readonly version: number;
}
