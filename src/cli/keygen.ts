import { existsSync, readFileSync } from 'node:fs';
import { replaceFile } from '../core/properties.ts';
import { newKeyLine, parseKeyRing } from '../security/index.ts';
import { CLI_ERRORS } from './errors.ts';
import { parseOptions, type Command } from './command.ts';

const OPTIONS = { id: { type: 'string' }, sign: { type: 'string' }, remove: { type: 'string' } } as const;

export const keygenCommand: Command = {
  name: 'keygen',
  summary: 'make a key file, or change its keys while processes run',
  help: `Usage: spark-proxy keygen FILE [--id ID]
       spark-proxy keygen FILE --sign ID
       spark-proxy keygen FILE --remove ID

Makes FILE, which only its owner can read, with one new key; name it in key.file of every process of the cluster. If FILE
is there, a new key is added that is accepted, but does not sign yet.

      --id ID      name of the new key (k1, k2, ...)
      --sign ID    this key signs from now on
      --remove ID  this key is accepted no more

Processes read the file again within seconds. To change the key of a cluster, step by step on all hosts: add, --sign, --remove.

Examples:
  spark-proxy keygen /etc/spark-proxy/keys
  spark-proxy keygen /etc/spark-proxy/keys --sign k2
`,
  async run(args) {
    const [file, ...rest] = args;
    if (file === undefined || file.startsWith('-')) throw CLI_ERRORS.USAGE({ command: 'keygen', reason: 'no file is named' });
    const values = parseOptions('keygen', rest, OPTIONS);
    if (Object.keys(values).length > 1) throw CLI_ERRORS.USAGE({ command: 'keygen', reason: 'one of --id, --sign and --remove at a time' });
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split(/\r?\n/) : [];
    const find = (id: string): number => {
      const at = lines.findIndex((line) => line.split(':')[0]?.trim() === id);
      if (at < 0) throw CLI_ERRORS.USAGE({ command: 'keygen', reason: `there is no key ${id} in the file` });
      return at;
    };
    let said: string;
    if (values.sign !== undefined) {
      lines.unshift(...lines.splice(find(values.sign), 1));
      said = `key ${values.sign} signs`;
    } else if (values.remove !== undefined) {
      lines.splice(find(values.remove), 1);
      said = `key ${values.remove} is accepted no more`;
    } else {
      let next = lines.length + 1;
      while (lines.some((line) => line.startsWith(`k${next}:`))) next++;
      const id = values.id ?? `k${next}`;
      lines.push(newKeyLine(id));
      said = lines.length === 1 ? `key ${id} signs` : `key ${id} is accepted; it signs after: spark-proxy keygen ${file} --sign ${id}`;
    }
    const text = `${lines.join('\n')}\n`;
    parseKeyRing(text, file);
    replaceFile(file, text, 0o600);
    process.stdout.write(`${file}: ${said}\n`);
    return 0;
  },
};
