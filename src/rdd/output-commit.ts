/**
 * Output commit: each attempt writes below `_temporary/<job>/attempt_<id>`; the scheduler accepts one success a partition,
 * and only when the whole job has succeeded are the files of those attempts moved into place and `_SUCCESS` written.
 * Shape of Hadoop's FileOutputCommitter, algorithm 1.
 */
import { mkdir, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PartFile } from '../executor/text.ts';

export async function commitOutput(directory: string, files: readonly PartFile[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const file of files) await rename(file.path, join(directory, file.name));
  await rm(join(directory, '_temporary'), { recursive: true, force: true });
  await writeFile(join(directory, '_SUCCESS'), '');
}

/** Removes what attempts left; the directory itself only when nothing else is in it. */
export async function abortOutput(directory: string, job: string): Promise<void> {
  await rm(join(directory, '_temporary', job), { recursive: true, force: true });
  for (const path of [join(directory, '_temporary'), directory]) {
    const left = await readdir(path).catch(() => undefined);
    if (left?.length === 0) await rmdir(path);
  }
}
