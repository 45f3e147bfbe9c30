import {
  After,
  AfterReturning,
  AfterThrowing,
  Around,
  Aspect,
  Before,
  Intercept,
  around,
  before,
  execution,
  type JoinPoint,
  type ProceedingJoinPoint,
} from '../../../src/aspects/index.ts';

/** What both flavours must accept and refuse; compiled here with experimentalDecorators, and by ../types-standard without. */
@Aspect
export class Bare {}

@Aspect({ order: 1, name: 'Audit' })
export class Audit {
  @Before(execution('submit'))
  begin(_jp: JoinPoint): void {}

  @After(execution('submit'), { order: 2 })
  end(): void {}

  @Around(execution('submit'))
  time(_jp: ProceedingJoinPoint<Orders, [number], number>, proceed: () => number): number {
    return proceed();
  }

  @AfterReturning(execution('submit'))
  done(_jp: JoinPoint, _result: number): void {}

  @AfterThrowing(execution('submit'))
  @Before(execution('cancel'))
  failed(_jp: JoinPoint, _error?: unknown): void {}

  // @ts-expect-error: the first parameter is the join point
  @Before(execution('submit'))
  wrongParameter(_jp: number): void {}

  // @ts-expect-error: before advice gets one parameter
  @Before(execution('submit'))
  tooMany(_jp: JoinPoint, _more: string): void {}

  // @ts-expect-error: the second parameter of around advice is proceed
  @Around(execution('submit'))
  wrongProceed(_jp: ProceedingJoinPoint, _proceed: number): void {}

  // @ts-expect-error: a field is no advice
  @Before(execution('submit'))
  field = 1;

  // @ts-expect-error: a pointcut, not a name
  @Before('submit')
  named(_jp: JoinPoint): void {}

  // @ts-expect-error: before advice has no proceedWith
  @Before(execution('submit'))
  proceeds(jp: ProceedingJoinPoint): void {
    jp.proceedWith([]);
  }

  // @ts-expect-error: an aspect is a class
  @Aspect({ order: 1 })
  method(): void {}
}

// @ts-expect-error: advice is a method
@Before(execution('submit'))
export class Wrong {}

const count = before(() => undefined);
const double = around<(id: number) => number>((jp, proceed) => proceed() + jp.proceedWith([jp.args[0]]));

@Intercept(count)
export class Orders {
  @Intercept(double, count)
  submit(id: number): number {
    return id;
  }

  // @ts-expect-error: typed advice is for methods of its type
  @Intercept(double)
  name(id: string): string {
    return id;
  }

  @Intercept(count)
  static create(): Orders {
    return new Orders();
  }

  @Intercept(count)
  get size(): number {
    return 1;
  }

  // @ts-expect-error: a field is no join point
  @Intercept(count)
  field = 1;

  // @ts-expect-error: not advice
  @Intercept('count')
  cancel(): void {}
}

// @ts-expect-error: an order is a number
before(() => undefined, { order: 'first' });
