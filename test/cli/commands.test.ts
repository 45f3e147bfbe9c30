import { execFileSync } from 'node:child_process';
import { describe, expect, test, vi } from 'vitest';
import { allCommands } from '../../src/cli/commands.ts';
import type { Command } from '../../src/cli/command.ts';

const COMMANDS = await allCommands();
const command = (name: string): Command => COMMANDS.find((one) => one.name === name) as Command;

async function printedBy(name: string, args: readonly string[]): Promise<string> {
  let text = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    expect(await command(name).run(args)).toBe(0);
  } finally {
    spy.mockRestore();
  }
  return text;
}

test.each(COMMANDS.map((one) => [one.name, one] as const))('%s has a summary, and help that shows its usage and examples', (name, { summary, help }) => {
  expect(summary).toMatch(/^[a-zA-Z]/);
  expect(help).toMatch(new RegExp(`^Usage: spark-proxy ${name}\\b`));
  const examples = help.split('\nExamples:\n')[1] ?? '';
  expect(examples).toMatch(/^ {2}\S/);
});

test.each(['status', 'hosts', 'tasks', 'kill', 'drain', 'retry', 'top'])('%s answers programs in JSON', (name) => {
  expect(command(name).help).toContain('--json');
});

test.each<[string, string[], RegExp]>([
  ['kill', [], /no APPLICATION is given/],
  ['drain', [], /no WORKER is given/],
  ['retry', ['app'], /no TASK is given/],
  ['retry', ['app', 'x'], /x: expected a whole number/],
  ['kill', ['a', '1', 'more'], /unexpected argument more/],
  ['tasks', ['--limit', '0'], /--limit 0: expected a whole number from 1/],
  ['top', ['--interval', 'soon'], /--interval soon: expected/],
  ['status', ['--jsno'], /Unknown option '--jsno'/],
  ['completions', ['tcsh'], /tcsh is not one of bash, zsh, fish/],
  ['status', [], /no --url is given/],
])('%s %j is refused before anything is asked', async (name, args, message) => {
  await expect(command(name).run(args)).rejects.toThrow(expect.objectContaining({ code: 'SP_CLI_USAGE', message: expect.stringMatching(message) as string }));
});

describe('completions', () => {
  test('bash completes commands and their options', async () => {
    const script = await printedBy('completions', ['bash']);
    const complete = (...words: string[]): string[] =>
      execFileSync(
        'bash',
        ['-c', `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _spark_proxy; printf '%s\\n' "\${COMPREPLY[@]}"`, 'bash', 'spark-proxy', ...words],
        {
          encoding: 'utf8',
        },
      )
        .trim()
        .split('\n');
    expect(complete('sta')).toEqual(['status']);
    expect(complete('')).toEqual(expect.arrayContaining(COMMANDS.map(({ name }) => name)));
    expect(complete('tasks', '--p')).toEqual(['--parked']);
    expect(complete('tasks', '--')).toEqual(expect.arrayContaining(['--application', '--json', '--limit', '--url', '--help']));
  });

  test.each(['zsh', 'fish'])('%s is told of every command', async (shell) => {
    const script = await printedBy('completions', [shell]);
    for (const { name } of COMMANDS) expect(script).toMatch(new RegExp(`\\b${name}\\b`));
    expect(script).toContain('parked');
  });
});
