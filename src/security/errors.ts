import { defineErrors } from '../core/errors.ts';

export const SECURITY_ERRORS = defineErrors('SECURITY', {
  BAD_KEY: ['{where} holds no usable key: {reason}', 'make one with spark-proxy keygen'],
  KEY_FILE: ['the key file {path} cannot be used: {reason}', 'keep keys in a file only its owner can read (chmod 600), or in SPARK_PROXY_KEY'],
  UNSIGNED: ['a frame without a signature was refused', 'give every process of the cluster the same key ring (key.file or SPARK_PROXY_KEY)'],
  UNKNOWN_KEY: ['a frame signed with the unknown key {key} was refused', 'add the key to the ring of this process before it signs elsewhere'],
  BAD_SIGNATURE: ['a frame whose signature does not match was refused', 'if it is not an attack: the keys of one id differ between processes'],
  EXPIRED: ['a frame signed {seconds} s ago was refused', 'check the clocks; security.frame.ttl says how old a frame may be'],
  FUTURE: ['a frame signed {seconds} s in the future was refused', 'check the clocks; security.clock.skew says how far they may differ'],
  REPLAYED: ['a frame that was taken before came again and was refused', 'nothing is lost: frames that were not acknowledged are taken again'],
  KEY_NEEDED: [
    '{what} would listen on {host}, which other machines reach, and there is no key',
    'set key.file or SPARK_PROXY_KEY (spark-proxy keygen makes one), or use a loopback address',
  ],
  SEALED: ['what was sealed for {purpose} cannot be opened: {reason}', 'give every process of the cluster the same key ring'],
});
