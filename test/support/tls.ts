import { join } from 'node:path';
import { readFileSync, writeFileSync } from 'node:fs';
import { run } from './server-process.ts';

/** A key pair signed by the authority of a test, as files and as text. */
export interface TestIdentity {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface TestAuthority {
  readonly caFile: string;
  readonly ca: string;
  /** For 127.0.0.1 and localhost. */
  readonly server: TestIdentity;
  readonly client: TestIdentity;
}

/** A certificate authority of its own in `directory`, made by openssl. */
export async function testAuthority(directory: string, name = 'test'): Promise<TestAuthority> {
  const path = (file: string): string => join(directory, `${name}-${file}`);
  const makeKey = (file: string): Promise<string> => run('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path(file)]);
  await Promise.all(['ca.key', 'server.key', 'client.key'].map(makeKey));
  await run('openssl', ['req', '-x509', '-new', '-key', path('ca.key'), '-days', '2', '-subj', `/CN=${name} authority`, '-out', path('ca.pem')]);
  writeFileSync(path('ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const identity = async (who: string): Promise<TestIdentity> => {
    await run('openssl', ['req', '-new', '-key', path(`${who}.key`), '-subj', `/CN=${who}`, '-out', path(`${who}.csr`)]);
    const sign = ['x509', '-req', '-in', path(`${who}.csr`), '-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-days', '2', '-extfile', path('ext')];
    await run('openssl', [...sign, '-set_serial', who === 'server' ? '1' : '2', '-out', path(`${who}.pem`)]);
    const [certFile, keyFile] = [path(`${who}.pem`), path(`${who}.key`)];
    return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  };
  return { caFile: path('ca.pem'), ca: readFileSync(path('ca.pem'), 'utf8'), server: await identity('server'), client: await identity('client') };
}
