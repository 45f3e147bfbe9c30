import { RUN_TIME, type Case } from './cases.ts';
import { LOAD_TIME } from './load-time-cases.ts';
import { PEER_CASES } from './peer-cases.ts';

export const ALL_CASES: readonly Case[] = [...RUN_TIME, ...LOAD_TIME, ...PEER_CASES];
