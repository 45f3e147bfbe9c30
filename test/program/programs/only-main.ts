import { SparkContext } from 'spark-proxy';

async function main(): Promise<void> {
  const sc = new SparkContext();
  console.log('main', process.argv.slice(2).join(' '), await sc.range(100).count());
  await sc.stop();
}

void main();
