import { Intercept, afterReturning, before, construct, execution, weave, weaveConstructor, type JoinPoint } from '../../../src/aspects/index.ts';

/** What only the standard flavour has, and the functions. */
export class Vault {
  @Intercept(before(() => undefined))
  #open(code: number): number {
    return code;
  }

  @Intercept(before(() => undefined))
  static #make(): Vault {
    return new Vault();
  }

  @Intercept(before(() => undefined))
  set size(_value: number) {}

  // @ts-expect-error: an accessor field is no join point
  @Intercept(before(() => undefined))
  accessor x = 1;

  static open(): number {
    return Vault.#make().#open(1);
  }
}

class Context {
  readonly app: string;
  constructor(app: string) {
    this.app = app;
  }
}

const Woven: typeof Context = weaveConstructor(Context, (jp, proceed) => {
  const app: string = jp.args[0];
  const made: Context = proceed();
  return app === '' ? jp.proceedWith(['x']) : made;
});
new Woven('a').app.trim();

// @ts-expect-error: the arguments keep their types
new Woven(1);

weaveConstructor(
  Context,
  // @ts-expect-error: the advice must give an instance
  (_jp, _proceed) => 5,
);

const handle = weave(
  Context,
  construct('Context'),
  afterReturning<() => Promise<number>>((_jp, result) => result.toFixed()),
);
handle.disable();

const nothing = before(() => undefined);
// @ts-expect-error: a pointcut is made by execution() and its like
weave(Context, 'app', nothing);
weave(
  Context,
  execution('x'),
  before((jp: JoinPoint<Context, [number]>) => jp.target.app + jp.args[0].toFixed()),
);

// @ts-expect-error: a name, a symbol or a regular expression
execution(5);
