import { before, execution, register, within } from '../../../src/aspects/index.ts';

register({ aspects: [[{ pointcut: within('**/store*.?js').and(execution('Store*.submit')), advice: before(() => undefined) }]] });
