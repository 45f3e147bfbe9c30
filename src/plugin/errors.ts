import { defineErrors } from '../core/errors.ts';

export const PLUGIN_ERRORS = defineErrors('PLUGIN', {
  NO_ASPECTS: ['the plugin was given no aspects', "name the modules that export them: { aspects: ['./src/aspects.ts'] }"],
  ASPECTS_FAILED: ['the aspects of {file} cannot be loaded: {why}', 'they run when you build, too: keep what needs the application out of that module'],
  NO_MATCH: ['nothing in this build is matched by {pointcut}', 'compare its names and module globs with the sources; paths begin at {root}: **/src/orders.ts'],
  NOT_WOVEN: ['{module} is not woven: {why}', 'weave plain JavaScript: put this plugin behind those that compile it'],
});
