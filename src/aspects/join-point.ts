import { errors } from './errors.ts';

export type JoinPointKind = 'execution' | 'call' | 'construct' | 'get' | 'set';

/** What is known of a join point without running it (AspectJ's static part). One object per woven site. */
export class Signature {
  readonly kind: JoinPointKind;
  /** Member name; for `construct`, the name of the class. */
  readonly name: string | symbol;
  /** Name of the class (or of the object's class); empty where a decorator cannot know it. */
  readonly declaringType: string;
  readonly isStatic: boolean;
  /** URL of the module, for classes woven at load time. */
  readonly module: string | undefined;
  /** Parameter types as reflect-metadata knows them (`design:paramtypes`), where the program has it. */
  readonly parameterTypes: readonly unknown[] | undefined;

  constructor(
    fields: Pick<Signature, 'kind' | 'name' | 'declaringType' | 'isStatic'> & { readonly module?: string | undefined },
    parameterTypes?: readonly unknown[],
  ) {
    this.kind = fields.kind;
    this.name = fields.name;
    this.declaringType = fields.declaringType;
    this.isStatic = fields.isStatic;
    this.module = fields.module;
    this.parameterTypes = parameterTypes;
  }

  /** `Orders.submit`, `static Orders.create`, `get Orders.size`, `new Orders`. */
  toString(): string {
    const name = typeof this.name === 'symbol' ? `[${this.name.description ?? ''}]` : this.name;
    if (this.kind === 'construct') return `new ${name}`;
    const prefix = `${this.isStatic ? 'static ' : ''}${this.kind === 'execution' ? '' : `${this.kind} `}`;
    return `${prefix}${this.declaringType === '' ? '' : `${this.declaringType}.`}${name}`;
  }
}

/** The receiver of what has another original at each call: calls and accesses where they are written, and bodies of constructors. */
export class Invocation {
  // Declared only: fields that are defined first are slow to make, and larger to inline.
  declare readonly target: unknown;
  declare readonly run: (this: unknown, ...args: never[]) => unknown;
  /** Of a construction: what its text calls, as a method of this, so that V8 learns what is called and inlines it. */
  declare readonly shell: ((...args: never[]) => unknown) | undefined;
  /** Of a construction: the instance, where the class has no base. */
  declare readonly instance: unknown;
  /** Of another construction: gives the instance, once its body has run. */
  declare readonly late: (() => unknown) | undefined;
  /** Of a construction whose body reads `arguments`. */
  declare readonly args: (Record<number, unknown> & { length: number }) | undefined;
  declare ran: boolean;

  constructor(
    target: unknown,
    run: (this: unknown, ...args: never[]) => unknown,
    shell?: (...args: never[]) => unknown,
    instance?: unknown,
    late?: () => unknown,
    args?: Record<number, unknown> & { length: number },
  ) {
    this.target = target;
    this.run = run;
    this.shell = shell;
    this.instance = instance;
    this.late = late;
    this.args = args;
    this.ran = false;
  }

  /** @throws SP_ASPECTS_PROCEED_TWICE */
  proceed(given: readonly unknown[] | IArguments): unknown {
    const args = [...given];
    if (this.instance === undefined && this.late === undefined) return Reflect.apply(this.run, this.target, args);
    if (this.ran) throw errors.PROCEED_TWICE();
    this.ran = true;
    if (this.args !== undefined) {
      this.args.length = args.length;
      for (const [i, arg] of args.entries()) this.args[i] = arg;
    }
    return this.made((this.run as (...values: unknown[]) => unknown)(...args));
  }

  /** What `new` gives, by what the body of the constructor returned. */
  made(returned: unknown): unknown {
    if ((typeof returned === 'object' && returned !== null) || typeof returned === 'function') return returned;
    return this.late === undefined ? this.instance : this.late();
  }
}

/** Runs what is inside an around advice: receiver (or new target), arguments. */
export type Continuation = (self: unknown, args: readonly unknown[]) => unknown;

/**
 * One call. Advice sees it as its first parameter. Fields that are not typed on {@link JoinPoint} belong to the
 * generated code: one class per number of arguments, so that sites stay monomorphic and a join point whose advice is
 * inlined is never allocated.
 */
export abstract class JoinPointBase {
  declare readonly signature: Signature;
  /** @internal Receiver; for `construct`, the new target. */
  declare readonly self: unknown;
  /** @internal What is inside the around advice now running; null once that has returned. */
  declare next: Continuation | undefined | null;
  // Not initialised: undefined until after advice is about to run, and smaller to inline for it.
  declare result: unknown;
  declare error: unknown;

  constructor(signature: Signature, self: unknown, next: Continuation | undefined) {
    this.signature = signature;
    this.self = self;
    this.next = next;
  }

  abstract get args(): unknown[];

  get target(): unknown {
    if (this.signature.kind === 'construct') return this.result;
    return this.self instanceof Invocation ? this.self.target : this.self;
  }

  get kind(): JoinPointKind {
    return this.signature.kind;
  }

  get name(): string | symbol {
    return this.signature.name;
  }

  proceedWith(args: readonly unknown[]): unknown {
    const next = this.next;
    if (next === undefined) throw errors.NO_PROCEED({ joinPoint: this.signature.toString() });
    if (next === null) throw errors.LATE_PROCEED({ joinPoint: this.signature.toString() });
    return next(this.self, args);
  }

  toString(): string {
    return `${this.signature.kind}(${this.signature.toString()})`;
  }
}

/** Any other number of arguments. */
export class JoinPointN extends JoinPointBase {
  declare readonly rest: readonly unknown[];
  constructor(signature: Signature, self: unknown, next: Continuation | undefined, args: readonly unknown[]) {
    super(signature, self, next);
    this.rest = args;
  }
  get args(): unknown[] {
    return [...this.rest];
  }
}

/** Calls with more arguments share one class, {@link JoinPointN}. */
export const MAX_COUNT = 8;

/** Makes a join point of so many arguments, see {@link joinPointClass}. */
export type JoinPointClass = new (signature: Signature, self: unknown, next: Continuation | undefined, ...args: unknown[]) => JoinPointBase;

const classes: JoinPointClass[] = [];

/**
 * The class for a number of arguments up to {@link MAX_COUNT}, for generated code: flat constructors, as each byte of theirs counts when
 * V8 decides what it inlines.
 */
export function joinPointClass(count: number): JoinPointClass {
  return (classes[count] ??= makeClass(count));
}

function makeClass(count: number): JoinPointClass {
  const names = Array.from({ length: count }, (_, i) => `a${i}`);
  const own = ['signature', 'self', 'next', ...names];
  const source = `return function JoinPoint${count}(${own.join(', ')}) { ${own.map((name) => `this.${name} = ${name};`).join(' ')} };`;
  // oxlint-disable-next-line no-new-func
  const made = new Function(source)() as JoinPointClass;
  // oxlint-disable-next-line no-new-func
  const get = new Function(`return [${names.map((name) => `this.${name}`).join(', ')}];`) as () => unknown[];
  made.prototype = Object.create(JoinPointBase.prototype, { args: { get } });
  return made;
}

/** The join point as before and after advice see it. */
export interface JoinPoint<This = any, Args extends readonly unknown[] = any, Result = any> {
  readonly signature: Signature;
  readonly kind: JoinPointKind;
  readonly name: string | symbol;
  /** `this` of the call. For `construct`: undefined before, the instance after. */
  readonly target: This;
  /** A fresh copy of the arguments at every read: writing into it changes nothing; use `proceedWith`. */
  readonly args: Args;
  /** What the join point returned (a promise's value once it is fulfilled); set for after and afterReturning advice. */
  readonly result: Awaited<Result> | undefined;
  /** What it threw (or why its promise was rejected); set for after and afterThrowing advice. */
  readonly error: unknown;
  toString(): string;
}

/** The join point as around advice sees it. */
export interface ProceedingJoinPoint<This = any, Args extends readonly unknown[] = any, Result = any> extends JoinPoint<This, Args, Result> {
  /**
   * Proceeds with other arguments; advice further inside sees them as its own. `proceed()` passes the original ones.
   * @throws SP_ASPECTS_NO_PROCEED, SP_ASPECTS_LATE_PROCEED
   */
  proceedWith(args: Args): Result;
}
