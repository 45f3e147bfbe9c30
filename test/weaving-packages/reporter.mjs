/** Of node:test: a line a test, `ok` or `not ok`, its file and its names. */
import { basename } from 'node:path';

export default async function* lines(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    // The runner reports files too, as tests of that name.
    if (data.details?.type === 'suite' || data.name === data.file || data.skip !== undefined || data.todo !== undefined) continue;
    yield `${type === 'test:pass' ? 'ok' : 'not ok'}\t${basename(data.file ?? '')}\t${data.name.replaceAll(/\s+/g, ' ')}\n`;
  }
}
