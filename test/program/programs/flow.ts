import { defineWorkflow } from 'spark-proxy/program';

export const nightly = defineWorkflow('nightly', (w) =>
  w
    .program('./steps.ts#Load')
    .fork(
      (a) => a.program('./steps.ts#Left'),
      (b) => b.program('./steps.ts#Right'),
    )
    .when(
      (token) => Number(token.get('rows')) > 5,
      (many) => many.action('many', (token) => token.put('size', 'many')),
      (few) => few.action('few', (token) => token.put('size', 'few')),
    ),
);

export const breaking = defineWorkflow('breaking', (w) =>
  w
    .fork(
      (a) => a.program('./steps.ts#Breaks'),
      (b) => b.program('./steps.ts#Waits'),
    )
    .action('never', (token) => token.put('reached', true)),
);
