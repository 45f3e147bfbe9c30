export { annotation, type Annotation, type AnnotationDecorator } from './annotation.ts';
export {
  after,
  afterReturning,
  afterThrowing,
  around,
  before,
  type Advice,
  type AdviceKind,
  type AdviceLike,
  type AdviceOptions,
  type AfterAdvice,
  type AfterReturningAdvice,
  type AfterThrowingAdvice,
  type AroundAdvice,
  type BeforeAdvice,
} from './advice.ts';
export { prepareConstructor, weaveConstructor, type ConstructAdvice, type PrepareOptions } from './construct.ts';
export { After, AfterReturning, AfterThrowing, Around, Aspect, Before, Intercept, type AdviceDecoratorOptions } from './decorators.ts';
export { handleOf, handleOfAll } from './control.ts';
export { explain, type ExplainedAdvice, type ExplainedJoinPoint, type Explanation } from './explain.ts';
export { Signature, type JoinPoint, type JoinPointKind, type ProceedingJoinPoint } from './join-point.ts';
export { editSource, loadTimeEditor, registerLoadTimeAspect } from './load-time.ts';
export { register, registerBuilt, type AspectSource, type ModuleChoice, type RegisterOptions } from './register.ts';
export type { MatchedShadow, Skipped } from './report.ts';
export type { AspectOptions } from './metadata.ts';
export type { NamePattern } from './pattern.ts';
export { annotated, call, cflow, construct, execution, get, named, set, within } from './designators.ts';
export { parsePointcut } from './parse-pointcut.ts';
export { and, not, or, type PartialShadow, type Pointcut, type Shadow } from './pointcut.ts';
export { introduce, type Introduced, type Introduction } from './introduce.ts';
export { perTarget } from './per-target.ts';
export { originalAt, originalOf } from './site.ts';
export { weave, weaveAspect, type AdviceAt, type WeaveHandle, type WeaveOptions } from './weave.ts';
