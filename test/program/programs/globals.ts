import { defineProgram } from 'spark-proxy/program';

let runsOfThisModule = 0;

export default defineProgram({
  name: 'globals',
  async run(sec) {
    runsOfThisModule += 1;
    const all = globalThis as { shared?: string };
    const before = all.shared;
    all.shared = sec.runId;
    console.log(JSON.stringify({ runsOfThisModule, before: before ?? null, parallelism: sec.getSparkContext().defaultParallelism }));
  },
});
