/** What a runtime and the thread of a run say to each other. They may be of different versions of the package: fields are only ever added. */
import type { EndState, RunCause, TokenValues } from './contract.ts';

export interface ThreadData {
  readonly sparkProxyProgram: 1;
  readonly runId: string;
  readonly home: string;
  readonly file: string;
  /** Of several programs in the file. */
  readonly wanted?: string;
  readonly startTime: number;
  readonly args: readonly string[];
  readonly arguments: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly token?: TokenValues;
}

export type FromProgram =
  | { readonly type: 'program'; readonly name: string; readonly kind: 'program' | 'workflow' }
  | { readonly type: 'running' }
  | { readonly type: 'ended'; readonly state: EndState; readonly cause?: RunCause; readonly token?: TokenValues };

export interface ToProgram {
  readonly type: 'stop';
  readonly reason: string;
}
