import type { Configuration } from '../core/config.ts';
import { createLogger } from '../core/logger.ts';
import type { HostSelector } from '../selectors/contract.ts';
import { loadSelector, type SelectorOptions } from '../selectors/index.ts';

const logger = createLogger('reschedule');

/**
 * The selector that `host.selector` names, also after it was changed; one that cannot be loaded leaves the old one in place.
 * How many tasks a slot may be sent (`queueDepth`) is settled at the start.
 * @throws SP_SELECTOR_*
 */
export async function configuredSelector(configuration: Configuration, options: SelectorOptions): Promise<HostSelector> {
  let current = await loadSelector(configuration.get('host.selector'), options);
  const change = async (): Promise<void> => {
    const name = configuration.get('host.selector');
    try {
      const next = await loadSelector(name, options);
      if (configuration.get('host.selector') === name) current = next;
    } catch (error) {
      logger.error(`the selector stays ${current.name}: ${(error as Error).message}`);
    }
  };
  configuration.onChange((key) => {
    if (key === 'host.selector') void change();
  });
  const { queueDepth } = current;
  return {
    get name() {
      return current.name;
    },
    ...(queueDepth === undefined ? {} : { queueDepth }),
    select: (task, hosts, view) => current.select(task, hosts, view),
  };
}
