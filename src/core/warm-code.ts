/**
 * Code that stays compiled in processes that wait for work. V8's memory reducer runs after eight seconds without allocation
 * to speak of, and its collections drop what was compiled and optimised: the next job after a pause ran at half its speed.
 */
import { setFlagsFromString } from 'node:v8';

/** Collections of the memory reducer stay, and free what is garbage; they spare the code. */
const FLAG = '--no-memory-reducer-favors-memory';
/** Versions of V8 that were seen to know the flag (Node 24 to 26); others print an error for it. */
const KNOWN = { from: 13, to: 14 };

/** For the command line of a process of Node to be started: there it also counts for the code that Node keeps in files. */
export function keepingCodeWarm(v8Version = process.versions.v8): readonly string[] {
  const major = Number(v8Version.split('.', 1)[0]);
  return major >= KNOWN.from && major <= KNOWN.to ? [FLAG] : [];
}

/** For this process and its threads. */
export function keepCodeWarm(): void {
  for (const flag of keepingCodeWarm()) setFlagsFromString(flag);
}

/** For a process that may be started so: its threads are, too, and refuse the flag when it is handed to them. */
export function hideWarmFlag(): void {
  process.execArgv = process.execArgv.filter((argument) => argument !== FLAG);
}
