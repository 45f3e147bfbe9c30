import { defineErrors } from '../core/errors.ts';

export const registryErrors = defineErrors('REGISTRY', {
  BAD_OPTION: ['Register center option {option} is {value}: {reason}', 'Correct the option.'],
  BAD_ENTRY: ['A registration cannot be announced: {reason}', 'Correct the registration.'],
  CLOSED: ['The register center is closed', 'It was closed by this process; make another.'],
});
