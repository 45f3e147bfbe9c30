import { defineErrors } from '../core/errors.ts';

export const LoaderErrors = defineErrors('LOADER', {
  NO_HOOKS: ['this Node ({version}) has no module.registerHooks', 'use Node 22.15 or later'],
  EDIT: [
    'editor {editor} failed on {url}, which is loaded as it is',
    'closures of that module are read through the inspector and it is not woven; please report this',
  ],
  TSCONFIG: ['cannot read {path}: {reason}', 'mend the file; until then its options are ignored'],
  LOWER: ['cannot lower the TypeScript of {url}: {reason}', 'the file uses syntax that Node cannot strip, and esbuild refused it; mend what the reason names'],
});
