import { afterAll, describe, expect, test } from 'vitest';
import {
  around,
  call,
  construct,
  editSource,
  execution,
  get,
  loadTimeEditor,
  registerLoadTimeAspect,
  set,
  within,
  type WeaveHandle,
} from '../../../src/aspects/index.ts';
import { captureEditor } from '../../../src/closure/capture-editor.ts';
import { applyEditors } from '../../../src/loader/edit.ts';
import { programs, sloppy } from './programs.ts';

const pass = around((_jp, proceed) => proceed());
const everything = execution('*').or(construct(), execution(/./), execution(Symbol.iterator));
const handles: WeaveHandle[] = [
  registerLoadTimeAspect([
    {
      pointcut: within('/definitions/**')
        .or(within('/all/**'))
        .and(everything.or(get('#*'), set('#*'), get('g'), set('g'))),
      advice: pass,
    },
    { pointcut: within('/all/**').and(call().or(get(), set())), advice: pass },
  ]),
];
afterAll(() => handles.forEach((handle) => handle.unweave()));

let count = 0;

async function runModule(source: string): Promise<unknown[]> {
  const out: unknown[] = [];
  (globalThis as { out?: unknown[] }).out = out;
  await import(`data:text/javascript,${encodeURIComponent(`/*${++count}*/${source}`)}`);
  return out;
}

function runCommonJs(source: string): unknown[] {
  const out: unknown[] = [];
  const module = { exports: {} };
  // oxlint-disable-next-line no-new-func
  new Function('module', 'exports', 'out', source).call(module.exports, module, module.exports, out);
  return out;
}

const text = (values: readonly unknown[]): string => JSON.stringify(values, (_key, value: unknown) => (value === undefined ? '(undefined)' : value));

const ways = [
  ['definitions', (url: string, format: 'module' | 'commonjs', source: string) => editSource({ url, format, source })?.code],
  ['all', (url: string, format: 'module' | 'commonjs', source: string) => editSource({ url, format, source })?.code],
  ['all', (url: string, format: 'module' | 'commonjs', source: string) => applyEditors([captureEditor(), loadTimeEditor], { url, format, source })],
] as const;

describe.each([
  ['definitions woven', ways[0]],
  ['calls and fields woven too', ways[1]],
  ['woven, and closures captured', ways[2]],
])('%s', (_title, [folder, weave]) => {
  test.each(Object.entries(programs))('%s', async (_name, source) => {
    const woven = weave(`file:///${folder}/p${++count}.js`, 'module', source) ?? source;
    expect(woven.split('\n').length).toBeLessThanOrEqual(source.split('\n').length + 1);
    expect(text(await runModule(woven))).toBe(text(await runModule(source)));
    for (const handle of handles) handle.disable();
    try {
      expect(text(await runModule(woven))).toBe(text(await runModule(source)));
    } finally {
      for (const handle of handles) handle.enable();
    }
  });

  test.each(Object.entries(sloppy))('CommonJS: %s', (_name, source) => {
    const woven = weave(`file:///${folder}/p${++count}.cjs`, 'commonjs', source) ?? source;
    expect(text(runCommonJs(woven))).toBe(text(runCommonJs(source)));
  });
});
