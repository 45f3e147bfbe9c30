import { result } from './peer.ts';

/** What its thread runs for each task. */
export default async (): Promise<string> => result;
