import { defineErrors } from '../core/errors.ts';

export const selectorErrors = defineErrors('SELECTOR', {
  UNKNOWN: ['there is no host selector named "{name}"', 'choose one of {known}'],
});
