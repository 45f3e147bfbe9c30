import { defineErrors } from '../core/errors.ts';

export const errors = defineErrors('ASPECTS', {
  NO_MATCH: [
    'pointcut {pointcut} matches no join point of {target}',
    'Check the spelling against what the target declares: {candidates}. Give {strict: false} to make this a warning.',
  ],
  NOT_A_TARGET: ['cannot weave {target}', 'Give a class, a prototype or an object.'],
  NOT_CONFIGURABLE: [
    '{joinPoint} cannot be replaced: its property is neither configurable nor writable, or its owner is frozen',
    'Weave before the object is frozen.',
  ],
  NOT_A_CLASS: ['cannot intercept the construction of {target}', 'Give a class or a constructor function.'],
  CONSTRUCT_NOT_PREPARED: [
    'weave() cannot intercept `new {target}`: whoever holds the class would go on using it',
    'Use the class that weaveConstructor() or @Intercept returns, or weave at load time (registerLoadTimeAspect).',
  ],
  CONSTRUCT_NO_INSTANCE: ['around advice of {joinPoint} returned {result} where an instance is needed', 'Return proceed(), or another object.'],
  LATE_PROCEED: ['proceed() of {joinPoint} was called after its advice had returned', 'Call it before the advice returns, or return a promise.'],
  PROCEED_TWICE: ['proceed() was called twice around a construction', 'A constructor runs once for its instance: return what the first call gave.'],
  NO_PROCEED: ['proceedWith() was called at {joinPoint} outside around advice', 'Use around advice; before and after advice cannot proceed.'],
  BAD_ADVICE: [
    '{what} is not advice',
    'Use before(fn), after(fn), around(fn), afterReturning(fn) or afterThrowing(fn), or a function, which is around advice.',
  ],
  BAD_POINTCUT: [
    '{what} is not a pointcut',
    'Use execution(), call(), construct(), get(), set(), named(), within(), annotated(), cflow(), or parsePointcut(text), and combine them by and/or/not.',
  ],
  POINTCUT_SYNTAX: ['line {line}, column {column} of a pointcut: {why}\n{shown}', "Write it like within('**/orders.js') && execution('Orders.save*')."],
  BAD_PATTERN: ['pattern {pattern} is not usable: {why}', 'Give a name, a glob (* ? {a,b}), a symbol, or a regular expression that runs in linear time.'],
  NOT_AN_ASPECT: ['{what} has no advice', 'Give an instance of a class whose methods carry @Before, @After, @Around, @AfterReturning or @AfterThrowing.'],
  INTRODUCED_TWICE: ['{type} has a member {member} already', 'Name it otherwise in the mixin, or give {override: true}.'],
  BAD_DECORATION: ['@{decorator} cannot be used on {what}', '{remedy}'],
  LOAD_TIME_NEEDS_WITHIN: [
    'load-time pointcut {pointcut} names no module',
    "Narrow it: within('**/orders.js').and({pointcut}); otherwise every module of the process would be parsed.",
  ],
  ASPECT_MODULE: ['aspects of {url} cannot be loaded: {why}', 'Export an instance or a class with advice, or a list of {pointcut, advice}.'],
  CONFIGURATION: [
    'aspects are not configured rightly in {where}: {why}',
    'Write {"aspects": ["./aspects.js"]}, with include, exclude, strict, dryRun and dump as needed.',
  ],
  NOT_WOVEN: ['{url} is not woven: {why}', 'It runs as it is.'],
  DROPPED: [
    'what was woven into {url} did not run: another module hook replaced its source',
    'Register spark-proxy after the other hook (a later --import, or register() later), so that it sees what runs.',
  ],
  LOAD_TIME_FAILED: ['{name} of {url} could not be woven when it was loaded: {why}', 'It runs without advice; narrow the pointcut if it should not match.'],
});
