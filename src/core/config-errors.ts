import { defineErrors } from './errors.ts';

export const CONFIG_ERRORS = defineErrors('CONFIG', {
  UNKNOWN_KEY: ['unknown configuration key {key} ({where})', '{hint}'],
  BAD_VALUE: ['{key} = {value} is not valid: {reason} ({where})', 'see `spark-proxy conf` for every key, its meaning and its default'],
  BAD_LINE: ['{where}: not a property: {line}', 'write one `key = value` a line, without control characters; comments begin with # or !'],
  DUPLICATE_KEY: ['{key} is set twice ({where}, first at line {first})', 'keep one of the two lines'],
  SECRET_ON_COMMAND_LINE: [
    '{key} was given on the command line, where every user of the machine reads it',
    'set it in a file that only you can read, or as {name} in the environment',
  ],
  UNREADABLE: ['{path} cannot be read: {reason}', 'check the path and its permissions'],
  UNWRITABLE: ['{path} cannot be written: {reason}', 'check the path and its permissions'],
});
