import { defineErrors } from '../core/errors.ts';

export const CLI_ERRORS = defineErrors('CLI', {
  UNKNOWN_COMMAND: ['unknown command {command}', 'known commands: {known}; see spark-proxy --help'],
  USAGE: ['{reason}', 'see spark-proxy {command} --help'],
  NO_SUCH_FILE: ['cannot run {file}: there is no such file', 'give the path of a TypeScript or JavaScript program'],
});
