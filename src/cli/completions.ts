import { parseWithArguments, type Command } from './command.ts';
import { CLI_ERRORS } from './errors.ts';

/** The long options that a command's help names. */
function optionsOf({ help }: Command): string[] {
  const before = help.split('\nExamples:')[0] as string;
  return [...new Set([...before.matchAll(/(?<=^|[\s,[])--[a-z][a-z-]*/gm)].map((match) => match[0]))].filter((option) => option !== '--help').sort();
}

function bash(commands: readonly Command[]): string {
  const cases = commands.map((command) => `    ${command.name}) words="${[...optionsOf(command), '--help'].join(' ')}" ;;`);
  return `# spark-proxy completions: source <(spark-proxy completions bash)
_spark_proxy() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map((command) => command.name).join(' ')} --help --version" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  if [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  else COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _spark_proxy spark-proxy
`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function zsh(commands: readonly Command[]): string {
  const rows = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}`);
  const cases = commands.map((command) => `    ${command.name}) compadd -- ${[...optionsOf(command), '--help'].join(' ')}; _files ;;`);
  return `#compdef spark-proxy
# spark-proxy completions: spark-proxy completions zsh > "\${fpath[1]}/_spark-proxy"
_spark_proxy() {
  local -a commands
  commands=(
${rows.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
${cases.join('\n')}
  esac
}
compdef _spark_proxy spark-proxy
`;
}

function fish(commands: readonly Command[]): string {
  const rows = commands.flatMap((command) => [
    `complete -c spark-proxy -n __fish_use_subcommand -f -a ${command.name} -d ${quoted(command.summary)}`,
    ...optionsOf(command).map((option) => `complete -c spark-proxy -n '__fish_seen_subcommand_from ${command.name}' -l ${option.slice(2)}`),
  ]);
  return `# spark-proxy completions: spark-proxy completions fish > ~/.config/fish/completions/spark-proxy.fish\n${rows.join('\n')}\n`;
}

const SHELLS: Readonly<Record<string, (commands: readonly Command[]) => string>> = { bash, zsh, fish };

/** Completions of every command, itself included. */
export function completionsCommand(commands: () => Promise<readonly Command[]>): Command {
  return {
    name: 'completions',
    summary: 'print completions for bash, zsh or fish',
    help: `Usage: spark-proxy completions bash|zsh|fish

Examples:
  source <(spark-proxy completions bash)
  spark-proxy completions zsh > "\${fpath[1]}/_spark-proxy"
  spark-proxy completions fish > ~/.config/fish/completions/spark-proxy.fish
`,
    async run(args) {
      const { given } = parseWithArguments('completions', args, {}, ['SHELL']);
      const shell = given[0] ?? '';
      const print = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (print === undefined) throw CLI_ERRORS.USAGE({ command: 'completions', reason: `${shell} is not one of ${Object.keys(SHELLS).join(', ')}` });
      process.stdout.write(print(await commands()));
      return 0;
    },
  };
}
