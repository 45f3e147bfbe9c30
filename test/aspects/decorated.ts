import {
  After,
  AfterReturning,
  AfterThrowing,
  Around,
  Aspect,
  Before,
  Intercept,
  after,
  around,
  before,
  execution,
  get,
  type JoinPoint,
  type ProceedingJoinPoint,
} from '../../src/aspects/index.ts';

/** The same program in both decorator flavours: decorators.test.ts has esbuild lower it twice and runs it. */
export const log: string[] = [];

@Aspect({ order: 1, name: 'Audit' })
export class AuditAspect {
  readonly #seen: string[] = [];

  @Before(execution('submit'))
  begin(jp: JoinPoint): void {
    this.#seen.push(String(jp.signature));
    log.push(`begin ${jp.args.join()}`);
  }

  @Around(execution('submit'))
  time(jp: ProceedingJoinPoint, proceed: () => number): number {
    log.push('time');
    return jp.args[0] === 0 ? (jp.proceedWith([100]) as number) : proceed();
  }

  @AfterReturning(execution('submit'))
  done(_jp: JoinPoint, result: number): void {
    log.push(`done ${result}`);
  }

  @AfterThrowing(execution('fail'))
  failed(_jp: JoinPoint, error: Error): void {
    log.push(`failed ${error.message}`);
  }

  @After(execution('submit').or(execution('fail')), { order: 5 })
  end(): void {
    log.push('end');
  }

  seen(): readonly string[] {
    return this.#seen;
  }
}

@Aspect
export class OuterAspect {
  @Before(get('size'))
  @Before(execution('submit'), { order: -1 })
  first(jp: JoinPoint): void {
    log.push(`first ${jp.kind}`);
  }
}

export class DerivedAspect extends OuterAspect {
  override first(): void {
    log.push('undecorated override');
  }
}

export class Orders {
  submit(id: number): number {
    log.push(`submit ${id}`);
    return id + 1;
  }

  fail(): never {
    throw new Error('bad');
  }

  get size(): number {
    return 3;
  }
}

const loud = before((jp: JoinPoint) => void log.push(`before ${String(jp.signature)}`));

@Intercept(after((jp: JoinPoint) => void log.push(`made ${jp.args.join()}`)))
export class Job {
  static made = 0;
  readonly id: number;

  constructor(id: number) {
    this.id = id;
    Job.made++;
  }

  static create(id: number): Job {
    return new Job(id);
  }

  @Intercept(loud, around((_jp, proceed) => proceed() * 2))
  run(times: number): number {
    return this.id * times;
  }

  @Intercept(loud)
  static reset(): void {
    Job.made = 0;
  }

  @Intercept((_jp: ProceedingJoinPoint, proceed: () => number) => proceed() + 1)
  get next(): number {
    return this.id;
  }
}

export class SubJob extends Job {
  override run(times: number): number {
    return super.run(times) + 1;
  }
}
