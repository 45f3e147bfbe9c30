import { defineErrors } from '../core/errors.ts';

export const selectorErrors = defineErrors('SELECTOR', {
  UNKNOWN: ['there is no host selector named "{name}"', 'choose one of {known}, LOCALITY:<one of them>, or name a module: ./my-selector.js'],
  NOT_LOADED: [
    'the host selector {name} cannot be loaded: {reason}',
    'Check the path (relative ones begin where the process was started) or install the package.',
  ],
  BAD_MODULE: [
    '{name} is not a host selector: {reason}',
    'Export a function, as default or as createSelector, that returns an object with name and select(task, hosts, view).',
  ],
});
