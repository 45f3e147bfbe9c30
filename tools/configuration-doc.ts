/** `node tools/configuration-doc.ts` writes docs/configuration.md from src/core/config-schema.ts. */
import { environmentName } from '../src/core/config.ts';
import { CONFIG_KEYS } from '../src/core/config-schema.ts';
import { escaped, heading, writePage, type GeneratedPage } from './generated.ts';

export const configurationPage: GeneratedPage = {
  path: 'docs/configuration.md',
  async make() {
    const lines = [
      heading('Configuration', '`src/core/config-schema.ts`', 'tools/configuration-doc.ts'),
      'The same key can be set in five places. Later wins:',
      '',
      '1. the default below;',
      '2. `common.properties`, the first found in `SPARK_CONF_DIR`, `EXTERNAL_SPARK_CONF_DIR`, `HADOOP_CONF_DIR`, `$EXTERNAL_SPARK_HOME/conf`;',
      '3. the `SparkConf` of the program, as `spark.proxy.<key>` or `<key>`;',
      `4. the environment, as \`SPARK_PROXY_<KEY>\`: \`host.selector\` is \`${environmentName('host.selector')}\`; names that are no setting are passed over;`,
      '5. flags: `--conf KEY=VALUE`, and the options of `spark-proxy run` and `spark-proxy worker`.',
      '',
      '`spark-proxy conf` prints what is in force and where each value came from. An unknown key or a bad value is an error that',
      'names the file and the line ([SP_CONFIG_UNKNOWN_KEY](errors.md#sp_config_unknown_key), [SP_CONFIG_BAD_VALUE](errors.md#sp_config_bad_value)).',
      'Other keys that begin with `spark.` belong to the program and are passed through.',
      '',
      'Durations are `500ms`, `30s`, `2m`, `1h`; a bare number is milliseconds. Sizes are `512k`, `64m`, `1g`; a bare number is bytes.',
      '',
      '| key | default | meaning |',
      '|---|---|---|',
      ...Object.entries(CONFIG_KEYS).map(([key, { default: fallback, doc }]) => {
        const shown = fallback === undefined ? 'not set' : fallback === '' ? 'empty' : `\`${fallback}\``;
        return `| \`${key}\` | ${shown} | ${escaped(doc)} |`;
      }),
    ];
    return `${lines.join('\n')}\n`;
  },
};

if (import.meta.main) await writePage(configurationPage);
