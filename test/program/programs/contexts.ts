import { SparkContext } from 'spark-proxy';
import { defineProgram, SparkProgram, type Configurer, type ProgramEnd, type SparkExecutionContext } from 'spark-proxy/program';

/** Option a: the run's context is asked for. */
export const asked = defineProgram({
  name: 'asked',
  async run(sec) {
    const sc = sec.getSparkContext();
    console.log('count', await sc.range(10).count(), sc === sec.getSparkContext());
  },
});

/** Option b: made freely. */
export class Free extends SparkProgram {
  override async run() {
    const sc = new SparkContext({ 'spark.app.name': 'free' });
    console.log('count', await sc.range(10).count());
  }
}

/** Option c: given to the constructor. */
export class Given extends SparkProgram {
  readonly #sc: SparkContext;

  constructor(sc: SparkContext) {
    super();
    this.#sc = sc;
  }

  static configure(configurer: Configurer) {
    configurer.set('spark.default.parallelism', 3);
  }

  override async run() {
    console.log('partitions', this.#sc.range(10).getNumPartitions());
  }
}

export class Second extends SparkProgram {
  override async run() {
    await new SparkContext().stop();
    new SparkContext();
  }
}

/** Ignores that it is stopped, and tries to go on. */
export class AfterStop extends SparkProgram {
  override async run(sec: SparkExecutionContext) {
    console.log('waiting');
    await new Promise((resolve) => sec.signal.addEventListener('abort', resolve));
    try {
      new SparkContext();
    } catch (error) {
      console.log((error as { code?: string }).code);
    }
  }

  override destroy({ state }: ProgramEnd) {
    console.log('destroyed', state);
  }
}

export class Fails extends SparkProgram {
  override initialize(sec: SparkExecutionContext) {
    console.log('initialize', JSON.stringify(sec.arguments), sec.args.join(' '));
  }

  override async run() {
    const sc = new SparkContext();
    await sc.range(4).foreach((n) => {
      if (n === 3) throw new Error('three is not allowed');
    });
  }

  override destroy({ state, cause }: ProgramEnd) {
    console.log('destroyed', state, cause?.message.includes('three is not allowed'));
  }
}

/** Runs a job that never ends. */
export class Endless extends SparkProgram {
  override async run() {
    const sc = new SparkContext();
    console.log('endless');
    await sc.range(1).foreach(() => {
      for (;;);
    });
  }

  override destroy({ state }: ProgramEnd) {
    console.log('destroyed', state);
  }
}

/** Does not even let its thread breathe. */
export class Stuck extends SparkProgram {
  override run() {
    console.log('stuck');
    setTimeout(() => {
      for (;;);
    }, 100);
    return new Promise(() => undefined);
  }
}
