import { defineErrors } from '../core/errors.ts';

export const ClosureErrors = defineErrors('CLOSURE', {
  NOT_SERIALIZABLE: ['Task not serializable: {what}\n  captured through: {path}', '{hint}'],
  LARGE_CAPTURE: [
    'a closure graph of {bytes} bytes is shipped with every stage; {size} bytes of it are captured through: {path}',
    'make it a broadcast variable, so that each worker gets it once',
  ],
  FORMAT: [
    'these bytes are not a closure graph: {reason}',
    'both sides must run the same version of spark-proxy; if they do, the bytes were damaged on their way',
  ],
  LIMIT: ['a closure graph exceeds the limit {limit}: {actual} > {allowed}', 'ship less with the closure (broadcast large values), or raise the limit'],
  REVIVER: ['no reviver named {name} is known here', "register it on this side, under the name its [Symbol.for('spark-proxy.serialize')] method returns"],
  REVIVE: ['reviver {name} failed: {reason}', 'see the cause'],
  IMPORT: ['cannot import {specifier} for {parent}', 'a shipped function refers to it; the module must be installed where the function runs'],
  EXPORT: ['{specifier} has no export {name} here', 'a shipped function refers to it; both sides must have the same version of the module'],
  COMPILE: ['cannot rebuild a function of {url}: {reason}', 'please report this with the source of the function'],
  NOT_ALLOWED: ['{what} may not run here', 'worker.allow lets only these be used: {allowed}'],
  TOO_MUCH_CODE: [
    'the modules of a program are more than {limit} bytes with {path}',
    'name less in application.code, or install large packages on the workers',
  ],
  BAD_MODULES: ['the modules of a program cannot be used here: {reason}', 'both sides must run the same version of spark-proxy'],
  CYCLE: ['an object must exist before itself: {what}', 'a class cannot extend, and a reviver cannot need, what is made from it'],
});
