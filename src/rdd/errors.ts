import { defineErrors } from '../core/errors.ts';

export const RDD_ERRORS = defineErrors('RDD', {
  EMPTY: ['{action} of an empty RDD', 'check isEmpty() first, or use fold() with a zero value'],
  BAD_ARGUMENT: ['{method}: {argument} must be {expected}, got {got}', 'pass {expected}'],
  INPUT_NOT_FOUND: ['textFile: nothing matches {path}', 'check the path; globs such as docs/**/*.md are allowed, relative to the working directory'],
  OUTPUT_EXISTS: ['saveAsTextFile: the directory {path} exists already', 'remove it, or choose another'],
  IN_CLOSURE: ['{what} cannot be used inside a task', 'transformations and actions run on the driver: collect it, broadcast it, or join with it'],
});
