/** Text in and out: lines of byte ranges of files, and part files under a name of their attempt. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** A byte range [start, end) of a file. A line belongs to the range that holds its first byte. */
export interface FileSplit {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

const CHUNK = 1 << 20;
const NEWLINE = 10;

/** Reads the lines of splits in order, a chunk at a time. Lines end in LF or CRLF; text is UTF-8; a BOM is dropped. */
export class LineReader {
  readonly #splits: readonly FileSplit[];
  #index = -1;
  #file: number | undefined;
  #at = 0;
  #end = 0;
  #skipFirst = false;
  #atFileStart = false;
  #carry: Buffer[] = [];
  bytesRead = 0;

  constructor(splits: readonly FileSplit[]) {
    this.#splits = splits;
  }

  /** Lines of the next chunk, or undefined at the end. */
  next(): string[] | undefined {
    for (;;) {
      if (this.#file === undefined && !this.#openNext()) return undefined;
      const lines = this.#nextOfFile();
      if (lines === undefined) this.close();
      else if (lines.length > 0) return lines;
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#carry = [];
  }

  #openNext(): boolean {
    const split = this.#splits[++this.#index];
    if (split === undefined) return false;
    this.#file = openSync(split.path, 'r');
    this.#end = Math.min(split.end, fstatSync(this.#file).size);
    this.#skipFirst = split.start > 0;
    this.#atFileStart = !this.#skipFirst;
    // One byte early: if it is a newline, the line at `start` is whole and ours.
    this.#at = this.#skipFirst ? split.start - 1 : 0;
    return true;
  }

  #nextOfFile(): string[] | undefined {
    if (this.#at >= this.#end && this.#carry.length === 0) return undefined;
    const file = this.#file as number;
    // Past the end of the range only the rest of the last line is wanted.
    const finishing = this.#at >= this.#end;
    const size = finishing ? 1 << 16 : Math.min(CHUNK, this.#end - this.#at);
    const chunk = Buffer.allocUnsafeSlow(size);
    const got = readSync(file, chunk, 0, size, this.#at);
    this.bytesRead += got;
    let bytes = chunk.subarray(0, got);
    this.#at += got;
    if (got === 0) {
      this.#at = Math.max(this.#at, this.#end);
      return this.#decode(this.#takeCarry(Buffer.alloc(0)));
    }
    if (this.#skipFirst) {
      const newline = bytes.indexOf(NEWLINE);
      if (newline < 0 || (finishing && newline >= 0)) return this.#at >= this.#end ? undefined : [];
      bytes = bytes.subarray(newline + 1);
      this.#skipFirst = false;
      // The line after the skipped one begins beyond the range.
      if (this.#at >= this.#end && bytes.length === 0) return undefined;
    }
    const cut = finishing ? bytes.indexOf(NEWLINE) : bytes.lastIndexOf(NEWLINE);
    if (cut < 0) {
      if (bytes.length > 0) this.#carry.push(bytes);
      return this.#carry.length === 0 && this.#at >= this.#end ? undefined : [];
    }
    const whole = this.#takeCarry(bytes.subarray(0, cut));
    if (!finishing && cut + 1 < bytes.length) this.#carry.push(bytes.subarray(cut + 1));
    return this.#decode(whole);
  }

  #takeCarry(tail: Buffer): Buffer {
    if (this.#carry.length === 0) return tail;
    const all = Buffer.concat([...this.#carry, tail]);
    this.#carry = [];
    return all;
  }

  #decode(bytes: Buffer): string[] {
    let text = bytes.toString('utf8');
    if (this.#atFileStart && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    this.#atFileStart = false;
    const lines = text.split('\n');
    if (text.includes('\r')) {
      for (let i = 0; i < lines.length; i++) if ((lines[i] as string).endsWith('\r')) lines[i] = (lines[i] as string).slice(0, -1);
    }
    return lines;
  }
}

/** Where a task attempt left a part file; the driver moves it into place when the attempt has won. */
export interface PartFile {
  readonly path: string;
  readonly name: string;
  readonly records: number;
  /** SHA-256 of the file, where results are verified. */
  readonly digest?: string;
}

/** Directory of one attempt's files below the output directory. Shape of Hadoop's FileOutputCommitter. */
export function attemptDirectory(directory: string, job: string, runName: string): string {
  return join(directory, '_temporary', job, `attempt_${runName}`);
}

const FLUSH = 1 << 16;

/** Writes one part file, a line a record: strings as they are, everything else as JSON. */
export class TextWriter {
  readonly #path: string;
  readonly #name: string;
  readonly #file: number;
  readonly #hash: Hash | undefined;
  #buffer: string[] = [];
  #chars = 0;
  #records = 0;

  constructor(directory: string, partition: number, digests: boolean) {
    if (digests) this.#hash = createHash('sha256');
    mkdirSync(directory, { recursive: true });
    this.#name = `part-${String(partition).padStart(5, '0')}`;
    this.#path = join(directory, this.#name);
    this.#file = openSync(this.#path, 'w');
  }

  line(value: unknown): void {
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
    this.#buffer.push(text, '\n');
    this.#chars += text.length;
    this.#records += 1;
    if (this.#chars >= FLUSH) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#buffer.join(''), 'utf8');
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at);
    this.#hash?.update(bytes);
    this.#buffer = [];
    this.#chars = 0;
  }

  close(): PartFile {
    this.#flush();
    closeSync(this.#file);
    const digest = this.#hash === undefined ? undefined : { digest: this.#hash.digest('hex') };
    return { path: this.#path, name: this.#name, records: this.#records, ...digest };
  }
}
