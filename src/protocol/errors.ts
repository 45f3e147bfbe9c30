import { defineErrors } from '../core/errors.ts';

const SENDER = 'The sender is another version or not spark-proxy at all: run the same version everywhere, and check what else writes to this broker.';

export const protocolErrors = defineErrors('PROTOCOL', {
  TRUNCATED: ['Message ends too early: {what} needs {need} more bytes, {have} are left', SENDER],
  MALFORMED: ['Malformed message: {reason}', SENDER],
  UNKNOWN_VERSION: ['Message has format version {version}; this process reads version {known}', 'Run the same version of spark-proxy everywhere.'],
  SIGNED: ['Message is signed, and this process has no key', 'Give it the key ring of the cluster (key.file or SPARK_PROXY_KEY).'],
  TOO_LARGE: ['Message of {bytes} bytes is larger than the limit of {limit}', 'Send less at once, or raise the frame limit on every process.'],
  BAD_VALUE: ['Cannot encode {field}: {reason}', 'Numbers must be whole, not negative and below 2^53; names must be short strings.'],
  BLOB_MISMATCH: ['Blob {hash} arrived with other content (its SHA-256 is {actual})', 'It was damaged or forged on its way; it is asked for again.'],
});
