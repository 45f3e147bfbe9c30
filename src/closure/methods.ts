import { shapeOf } from './capture-editor.ts';
import { ATTACH } from './runtime.ts';
import type { CapturedName, Mark, Site } from './runtime.ts';
import { parseProgram, siteText } from './source.ts';
import type { FunctionSource } from './source.ts';
import { analyze } from './scope.ts';
import type { Unit } from './unit.ts';

/** Stands for the slot of the class itself, which its thunk does not read. */
const SELF = -1;

/**
 * Source of a method that is no longer on its class, because a decorator or the program has put another in its place: its text in the class,
 * and of what the class captures that which it uses. Undefined when it needs the class around it (super, #private) or cannot be told.
 */
export function methodSource(fn: object, { site, thunk, owner }: Mark): FunctionSource | undefined {
  const found = (methodsOf.get(site) ?? parse(site)).filter((one) => isText(one, fn));
  const [method] = found;
  if (method === undefined || found.some((one) => siteText(one).code !== siteText(method).code) || method.usesSuper || method.usesPrivate) return undefined;
  return { site: method, text: siteText(method), read: (slot, set, value) => (slot === SELF ? owner : thunk?.(slot, set, value)), owner: undefined };
}

const methodsOf = new WeakMap<Site, readonly Site[]>();

/** The methods that a class writes, as functions of their own. */
function parse(site: Site): readonly Site[] {
  const wrapped = `(${site.module.source.slice(site.start, site.end)})`;
  const program = parseProgram(wrapped);
  const units = program === undefined ? [] : analyze(program).units;
  const cls = units.at(-1);
  const methods = units
    .filter(({ parent, member }) => parent === cls && member?.type === 'MethodDefinition' && member.kind !== 'constructor')
    .map((unit) => methodSite(site, unit, wrapped));
  methodsOf.set(site, methods);
  return methods;
}

function methodSite(site: Site, unit: Unit, wrapped: string): Site {
  const shape = shapeOf(unit, wrapped);
  const shift = site.start - 1;
  const { start: from } = shape;
  const start = shift + from + (unit.member?.static === true ? (/^static\s*/.exec(wrapped.slice(from))?.[0].length ?? 0) : 0);
  const end = shift + shape.end;
  const captured: CapturedName[] = site.captured.filter(({ name }) => unit.globals.has(name)).map((one) => ({ ...one, early: false }));
  // A class binds nothing but its own name.
  for (const name of unit.captured.keys()) captured.push({ name, slot: SELF, early: false });
  return {
    ...shape,
    // Classes are strict wherever they are.
    module: { ...site.module, strict: true },
    start,
    end,
    ...(shape.computedKey === undefined ? {} : { computedKey: [shift + shape.computedKey[0], shift + shape.computedKey[1]] as const }),
    captured,
    globals: site.globals.filter((name) => unit.globals.has(name)),
    metas: site.metas.filter(([at]) => at >= start && at < end),
    uses: (site.uses ?? []).filter((use) => use.start >= start && use.end <= end),
  };
}

/** Compares the text that a function has with that of a method, up to the first mark that was put into it. */
function isText({ module, start, end }: Site, fn: object): boolean {
  const text = Function.prototype.toString.call(fn);
  const mark = text.indexOf(ATTACH);
  return mark < 0 ? text === module.source.slice(start, end) : module.source.startsWith(text.slice(0, mark).replace(/[\s;]+$/, ''), start);
}
