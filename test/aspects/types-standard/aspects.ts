import {
  Intercept,
  afterReturning,
  around,
  before,
  construct,
  execution,
  get,
  parsePointcut,
  set,
  weave,
  weaveConstructor,
  within,
  type JoinPoint,
} from '../../../src/aspects/index.ts';

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

class Account {
  balance = 0;
  deposit(amount: number, note?: string): boolean {
    return amount > 0 && note !== '';
  }
  static open(owner: string): Account {
    return new Account(owner);
  }
  readonly owner: string;
  constructor(owner: string) {
    this.owner = owner;
  }
}

// A pointcut typed with a class gives advice its types.
weave(
  Account,
  execution(Account, 'deposit'),
  before((jp) => {
    const args: [amount: number, note?: string | undefined] = jp.args;
    const target: Account = jp.target;
    // @ts-expect-error: the first argument is a number
    const wrong: string = jp.args[0];
    return [args, target, wrong];
  }),
);
weave(Account, execution(Account, 'deposit'), (jp, proceed) => proceed() && jp.proceedWith([1]));
weave(
  Account,
  execution(Account, 'open'),
  afterReturning((_jp, made) => {
    const account: Account = made;
    return account;
  }),
);
weave(
  Account,
  set(Account, 'balance').and(within('**')),
  before((jp) => {
    const value: number = jp.args[0];
    return value;
  }),
);
weave(
  Account,
  construct(Account),
  before((jp) => jp.args[0].toUpperCase()),
);
weave(
  Account,
  parsePointcut('execution(deposit)'),
  before((jp) => jp.args[0].anything),
);

// @ts-expect-error: there is no such method
execution(Account, 'withdraw');
// @ts-expect-error: a field does not run
execution(Account, 'balance');
// @ts-expect-error: a method is not read
get(Account, 'deposit');
// @ts-expect-error: it gives a boolean
weave(Account, execution(Account, 'deposit'), () => 'yes');
weave(
  Account,
  execution(Account, 'deposit'),
  // @ts-expect-error: it takes a number
  around((jp) => jp.proceedWith(['1'])),
);
weave(
  Account,
  execution(Account, 'deposit'),
  // @ts-expect-error: advice for another function
  before<(id: string) => void>(() => undefined),
);
