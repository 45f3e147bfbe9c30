import { defineProgram } from 'spark-proxy/program';

export const Load = defineProgram({
  name: 'Load',
  async run(sec) {
    sec.workflowToken?.put('rows', await sec.getSparkContext().range(Number(sec.arguments['rows'])).count());
  },
});

export const Left = defineProgram({
  name: 'Left',
  run(sec) {
    sec.workflowToken?.put('side', 'left');
  },
});

export const Right = defineProgram({
  name: 'Right',
  run(sec) {
    sec.workflowToken?.put('side', `right of ${sec.workflowToken.get('rows')}`);
  },
});

export const Breaks = defineProgram({
  name: 'Breaks',
  run() {
    throw new Error('broken on purpose');
  },
});

export const Waits = defineProgram({
  name: 'Waits',
  async run(sec) {
    await new Promise((resolve) => sec.signal.addEventListener('abort', resolve));
  },
});
