import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { globSync } from 'tinyglobby';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/*
 * Every fenced block of the documents is run, or says `no-run` after its language:
 *   ts [name.ts]  a program, run by `spark-proxy run`; the name is for sh blocks of the same document
 *   sh            commands, run by bash
 *   text          what the block before it prints, to the letter
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SCRATCH = join(ROOT, '.cache', `snippets-${process.pid}`);
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()];

const run = promisify(execFile);

interface Block {
  readonly line: number;
  readonly language: string;
  readonly words: readonly string[];
  readonly text: string;
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; info: string[]; text: string[] } | undefined;
  for (const [index, line] of markdown.split('\n').entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.text.push(line);
    else if (open === undefined) open = { line: index + 1, info: (fence[1] as string).trim().split(/\s+/), text: [] };
    else {
      const [language, ...words] = open.info;
      blocks.push({ line: open.line, language: language as string, words, text: `${open.text.join('\n')}\n` });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the block that begins in line ${open.line} does not end`);
  return blocks;
}

/** Programs and commands see neither this test run's options nor settings of whoever runs it. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(NODE_OPTIONS|VITEST.*|SPARK_.*|EXTERNAL_SPARK.*|HADOOP_CONF_DIR|FORCE_COLOR)$/.test(name));
  return { ...Object.fromEntries(own), NO_COLOR: '1', PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` };
}

/** Where npx finds the command, as in a project that has it installed; else it would install this package, and build it under everybody's feet. */
const BIN = join(SCRATCH, 'node_modules', '.bin');

beforeAll(() => {
  mkdirSync(BIN, { recursive: true });
  symlinkSync(join(ROOT, 'bin', 'spark-proxy.js'), join(BIN, 'spark-proxy'));
});
afterAll(() => rmSync(SCRATCH, { recursive: true, force: true }));

describe.each(DOCUMENTS)('%s', (document) => {
  const blocks = blocksOf(readFileSync(join(ROOT, document), 'utf8'));
  const directory = join(SCRATCH, basename(document, '.md'));
  const fileOf = (block: Block): string => join(directory, block.words[0] ?? `line-${block.line}.ts`);

  beforeAll(() => {
    mkdirSync(directory, { recursive: true });
    for (const block of blocks) if (block.language === 'ts' && !block.words.includes('no-run')) writeFileSync(fileOf(block), block.text);
  });

  test('has no code block that a test cannot check', () => {
    const known = blocks.map(({ language, words, line }) => `${['ts', 'sh', 'text'].includes(language) || words.includes('no-run')} in line ${line}`);
    expect(known.filter((entry) => entry.startsWith('false'))).toEqual([]);
  });

  for (const [index, block] of blocks.entries()) {
    if (block.words.includes('no-run') || block.language === 'text') continue;
    const next = blocks[index + 1];
    test.concurrent(
      `runs its block in line ${block.line}`,
      async () => {
        const [command, args] =
          block.language === 'ts'
            ? [process.execPath, [join(ROOT, 'bin', 'spark-proxy.js'), 'run', fileOf(block)]]
            : ['bash', ['-euo', 'pipefail', '-c', block.text]];
        const { stdout } = await run(command, args, { cwd: directory, env: environment(), timeout: 60_000 });
        if (next?.language === 'text') expect(stdout).toBe(next.text);
      },
      70_000,
    );
  }
});
