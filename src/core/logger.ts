import { printable } from './errors.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };

/** Leveled lines on standard error: `HH:MM:SS LEVEL component: message {fields}`. Messages may have several lines, fields never. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

let threshold: LogLevel = 'warn';

/** Sets the level of every logger of this process. */
export function setLogLevel(level: LogLevel): void {
  threshold = level;
}

/** A field on one line: a name from elsewhere cannot forge a line (reliability B6). */
function field(value: unknown): string {
  return printable(value).replace(/[\n\t]/g, (c) => (c === '\n' ? '\\n' : '\\t'));
}

function write(level: LogLevel, component: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
  if (RANK[level] < RANK[threshold]) return;
  const time = new Date().toISOString().slice(11, 19);
  const tail =
    fields === undefined
      ? ''
      : ` ${Object.entries(fields)
          .map(([k, v]) => `${k}=${field(v)}`)
          .join(' ')}`;
  process.stderr.write(`${time} ${level.toUpperCase().padEnd(5)} ${component}: ${printable(message, 4000)}${tail}\n`);
}

/** A logger for one component. */
export function createLogger(component: string): Logger {
  return {
    debug: (m, f) => write('debug', component, m, f),
    info: (m, f) => write('info', component, m, f),
    warn: (m, f) => write('warn', component, m, f),
    error: (m, f) => write('error', component, m, f),
  };
}
