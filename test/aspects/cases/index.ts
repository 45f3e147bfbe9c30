import type { Cases } from './fixture.ts';
import { synchronous } from './synchronous.ts';
import { order } from './order.ts';
import { asynchronous } from './asynchronous.ts';
import { members } from './members.ts';
import { inheritance } from './inheritance.ts';
import { switching } from './switching.ts';
import { construction } from './construction.ts';
import { dynamic } from './dynamic.ts';
import { instances } from './instances.ts';
import { streams } from './streams.ts';

/** All groups of cases: weave.test.ts runs them with generated code, no-code-generation.ts without. */
export const groups: Readonly<Record<string, Cases>> = {
  synchronous,
  order,
  asynchronous,
  members,
  inheritance,
  switching,
  construction,
  streams,
  dynamic,
  instances,
};
