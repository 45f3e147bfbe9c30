import { inAspectOrder, toAdvice, type Advice, type AdviceLike, type AnyFunction } from './advice.ts';
import { errors } from './errors.ts';
import { Signature } from './join-point.ts';
import { candidates, describeTarget, type Candidate, type Target } from './members.ts';
import { adviceOf } from './metadata.ts';
import { annotationsOf } from './annotation.ts';
import { atSite, flowBindings } from './residue.ts';
import { toPointcut, type PartialShadow, type Pointcut, type Shadow } from './pointcut.ts';
import { assertReplaceable, Site, siteOf, weaveMember, type Entry } from './site.ts';

export interface WeaveOptions {
  /** A pointcut that matches nothing: throw (true) or warn with code SP_ASPECTS_NO_MATCH (false). @defaultValue false */
  readonly strict?: boolean;
}

/** What was woven by one call. All methods may be called at any time, in any order, any number of times. */
export interface WeaveHandle {
  /** Woven join points, such as `Orders.submit`. */
  readonly joinPoints: readonly string[];
  /** False after `disable()`, and for ever after `unweave()`. */
  readonly enabled: boolean;
  enable(): void;
  /** Calls go straight to the original until `enable()`. */
  disable(): void;
  /** Takes the advice out; the last advice to leave a member puts its original back. */
  unweave(): void;
  [Symbol.dispose](): void;
}

interface Piece {
  readonly site: Site;
  readonly entry: Entry;
}

class Weaving implements WeaveHandle {
  #pieces: readonly Piece[];
  #enabled = true;
  readonly #names: readonly string[];

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
    this.#names = [...new Set(pieces.map(({ site }) => site.signature.toString()))];
  }

  get joinPoints(): readonly string[] {
    return this.#names;
  }

  get enabled(): boolean {
    return this.#enabled && this.#pieces.length > 0;
  }

  enable(): void {
    this.#switch(true);
  }

  disable(): void {
    this.#switch(false);
  }

  unweave(): void {
    const pieces = this.#pieces;
    this.#pieces = [];
    for (const [site, entries] of bySite(pieces)) site.remove(entries);
  }

  [Symbol.dispose](): void {
    this.unweave();
  }

  #switch(enabled: boolean): void {
    this.#enabled = enabled;
    for (const [site, entries] of bySite(this.#pieces)) {
      for (const entry of entries) entry.enabled = enabled;
      if (enabled) site.mute(entries, false);
      else site.refresh();
    }
  }
}

function bySite(pieces: readonly Piece[]): Map<Site, Entry[]> {
  const map = new Map<Site, Entry[]>();
  for (const { site, entry } of pieces) {
    const entries = map.get(site);
    if (entries === undefined) map.set(site, [entry]);
    else entries.push(entry);
  }
  return map;
}

/** A pointcut and its advice. */
export interface Binding {
  readonly pointcut: Pointcut;
  readonly advice: Advice;
  /** A miss is nobody's mistake: made by us for another pointcut's `cflow`, say. */
  readonly implied?: boolean;
}

/** Pointcuts that matched nothing, for `explain()`. */
export interface Unmatched {
  readonly pointcut: string;
  readonly advice: string;
  readonly target: string;
}

const unmatched: Unmatched[] = [];
const MAX_UNMATCHED = 1000;
let sequence = 0;

const unmatchedSources: (() => readonly Unmatched[])[] = [() => unmatched];

export const unmatchedPointcuts = (): readonly Unmatched[] => unmatchedSources.flatMap((source) => source());
export function reportUnmatchedFrom(source: () => readonly Unmatched[]): void {
  unmatchedSources.push(source);
}

export interface PlacedEntry {
  readonly pointcut: Pointcut;
  readonly entry: Entry;
  readonly implied: boolean;
}

/** Makes entries that are ranked as advice of one aspect. */
export function makeEntries(given: readonly Binding[]): readonly PlacedEntry[] {
  const bindings = [...given, ...flowBindings(given)];
  const ordered = inAspectOrder(bindings.map((binding) => binding.advice));
  const at = sequence;
  sequence += ordered.length;
  return bindings.map((binding) => ({
    pointcut: binding.pointcut,
    implied: binding.implied === true,
    entry: { advice: binding.advice, pointcut: binding.pointcut.toString(), sequence: at + ordered.indexOf(binding.advice), enabled: true },
  }));
}

export function nextEntry(advice: Advice, pointcut: string): Entry {
  return { advice, pointcut, sequence: sequence++, enabled: true };
}

export interface WeaveContext extends WeaveOptions {
  readonly module?: string | undefined;
  /** Load time: the name in the source, where it differs from the class's own. */
  readonly className?: string | undefined;
  /** Load time: each class sees only some of the pointcuts, so a miss says nothing. */
  readonly quiet?: boolean;
  /** Load time: constructions are woven in the text of the class. */
  readonly membersOnly?: boolean;
  /** Load time: the names of all members that may match, where they are known. */
  readonly names?: readonly string[] | undefined;
}

/** What is to be added at a join point: at a member, or at the site of the construction. */
interface Plan {
  readonly at: Candidate | Site;
  readonly entries: Entry[];
  /** Of its entries, among all. */
  readonly first: number;
}

export function weaveBindings(given: unknown, bindings: readonly Binding[], context: WeaveContext = {}): WeaveHandle {
  return new Weaving(weaveEntries(given, makeEntries(bindings), context).pieces);
}

/** Weaves entries into a target. Nothing is woven when it throws. */
export function weaveEntries(
  given: unknown,
  entries: readonly PlacedEntry[],
  context: WeaveContext,
): { readonly pieces: readonly Piece[]; readonly matched: readonly string[] } {
  const described = describeTarget(given);
  const target: Target = context.className === undefined ? described : { ...described, name: context.className };
  // What was missed is told by all that there is.
  const mayMatch =
    context.quiet === true && context.names === undefined
      ? (shadow: PartialShadow) => entries.some(({ pointcut }) => pointcut.evaluate(shadow) !== false)
      : undefined;
  const found = candidates(target, context.module, mayMatch, context.names);
  const plans: Plan[] = [];
  const hit = new Set<PlacedEntry>();
  for (const candidate of found) {
    const { shadow, member, onlyByName } = candidate;
    const plan = planAt(candidate, shadow, entries, hit, onlyByName ? context : undefined);
    if (plan === undefined) continue;
    assertReplaceable(member, shadow);
    plans.push(plan);
  }
  if (context.membersOnly !== true && target.classFunction !== undefined) {
    const plan = planAt(constructSite(given), constructShadow(target.name, context.module, target.classFunction), entries, hit, undefined);
    if (plan !== undefined && plan.at === undefined) throw errors.CONSTRUCT_NOT_PREPARED({ target: target.name });
    if (plan !== undefined) plans.push(plan as Plan);
  }
  if (context.quiet !== true) for (const placed of entries) if (!placed.implied && !hit.has(placed)) reportMiss(placed, target, found, context.strict === true);
  if (plans.length > 1) plans.sort((a, b) => a.first - b.first);
  const pieces: Piece[] = [];
  for (const { at, entries: added } of plans) {
    const site = at instanceof Site ? at : weaveMember(at.member, at.shadow, added);
    if (site === at) site.add(added);
    for (const entry of added) pieces.push({ site, entry });
  }
  return { pieces, matched: Array.from(hit, ({ entry }) => entry.pointcut) };
}

/** Undefined where no pointcut matches; `inherited`: a member that only its exact name asks for. */
function planAt<At extends Candidate | Site | undefined>(
  at: At,
  shadow: Shadow,
  entries: readonly PlacedEntry[],
  hit: Set<PlacedEntry>,
  inherited: WeaveContext | undefined,
): { readonly at: At; readonly entries: Entry[]; readonly first: number } | undefined {
  let plan: { readonly at: At; readonly entries: Entry[]; readonly first: number } | undefined;
  for (let i = 0; i < entries.length; i++) {
    const placed = entries[i]!;
    const residue = placed.pointcut.residue(shadow);
    if (residue === false || (inherited !== undefined && !namesInherited(placed.pointcut, shadow, inherited))) continue;
    hit.add(placed);
    (plan ??= { at, entries: [], first: i }).entries.push(atSite(placed.entry, residue, shadow));
  }
  return plan;
}

/**
 * Inherited members are meant when their exact name is given. At load time a class is not given by hand, so the pointcut
 * must name it too; otherwise a call that a subclass inherits would be advised in both.
 */
function namesInherited(pointcut: Pointcut, shadow: Shadow, context: WeaveContext): boolean {
  if (!pointcut.namesExactly(shadow.name)) return false;
  return context.className === undefined || pointcut.evaluate({ ...shadow, declaringType: '' }) === false;
}

export function constructShadow(name: string, module: string | undefined, type: AnyFunction | undefined): Shadow {
  return { kind: 'construct', name, declaringType: name, isStatic: false, module, annotations: annotationsOf(type, undefined, undefined) };
}

function constructSite(target: unknown): Site | undefined {
  for (let site = siteOf(target); site !== undefined; site = siteOf(site.callee.original)) if (site.signature.kind === 'construct') return site;
  return undefined;
}

function reportMiss({ pointcut, entry: { advice } }: PlacedEntry, target: Target, found: readonly Candidate[], strict: boolean): void {
  const names = found.map(({ shadow }) => new Signature(shadow).toString());
  const error = errors.NO_MATCH({ pointcut: pointcut.toString(), target: target.name, candidates: names.slice(0, 20).join(', ') || 'it declares none' });
  if (strict) throw error;
  if (unmatched.length < MAX_UNMATCHED) unmatched.push({ pointcut: pointcut.toString(), advice: advice.name, target: target.name });
  process.emitWarning(error.message, { type: 'SparkProxyWarning', code: error.code });
}

/**
 * Weaves advice at the join points of `target` that `pointcut` matches. A class: its methods and accessors, static ones
 * too; a prototype: its own; an object: its own and those of its class, for this object only. Inherited members of a
 * class are woven when the pointcut gives their exact name.
 * @throws SP_ASPECTS_NOT_A_TARGET, SP_ASPECTS_BAD_POINTCUT, SP_ASPECTS_BAD_ADVICE, SP_ASPECTS_NOT_CONFIGURABLE,
 * SP_ASPECTS_CONSTRUCT_NOT_PREPARED; SP_ASPECTS_NO_MATCH when strict
 */
export function weave<F extends AnyFunction = AnyFunction>(
  target: object,
  pointcut: Pointcut<F>,
  advice: NoInfer<AdviceLike<F> | readonly AdviceLike<F>[]>,
  options: WeaveOptions = {},
): WeaveHandle {
  const where = toPointcut(pointcut);
  const list = (Array.isArray(advice) ? advice : [advice]) as readonly unknown[];
  return weaveBindings(
    target,
    list.map((one) => ({ pointcut: where, advice: toAdvice(one) })),
    options,
  );
}

/** Advice with where it goes, when it is not an aspect class. */
export interface AdviceAt {
  readonly pointcut: Pointcut;
  readonly advice: AdviceLike | readonly AdviceLike[];
}

/** @throws SP_ASPECTS_NOT_AN_ASPECT, SP_ASPECTS_BAD_POINTCUT, SP_ASPECTS_BAD_ADVICE */
export function bindingsOf(aspect: object | readonly AdviceAt[]): readonly Binding[] {
  if (!Array.isArray(aspect)) return adviceOf(aspect);
  return (aspect as readonly AdviceAt[]).flatMap(({ pointcut, advice }) =>
    (Array.isArray(advice) ? advice : [advice]).map((one: unknown) => ({ pointcut: toPointcut(pointcut), advice: toAdvice(one) })),
  );
}

/**
 * Weaves all advice of an aspect (an instance of a class with @Before, @Around..., or a list of advice) into a target. Only pointcuts of which
 * none matches are reported.
 * @throws as `weave`, and SP_ASPECTS_NOT_AN_ASPECT
 */
export function weaveAspect(target: object, aspect: object | readonly AdviceAt[], options: WeaveOptions = {}): WeaveHandle {
  return weaveBindings(target, bindingsOf(aspect), options);
}
