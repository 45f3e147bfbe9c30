import { SparkContext } from 'spark-proxy';
import { SparkProgram } from 'spark-proxy/program';

// @ts-expect-error nobody uses it here
// oxlint-disable-next-line no-unused-vars
class NobodyExportsMe extends SparkProgram {
  async run() {
    console.log('found', await new SparkContext().range(5).count());
  }
}
