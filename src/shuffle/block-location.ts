/** Where an executor's shuffle files are: read in place on the same machine, asked for over the network elsewhere. */
export interface BlockLocation {
  /** Readers of the same name share its files and open them by path. */
  readonly machine: string;
  /** `host:port` of the executor's block server. */
  readonly address: string;
  /** 64 hex digits: whoever knows them may read its blocks. Travels only inside envelopes, with the map status. */
  readonly token: string;
}

/** Certificates of the links between block servers, PEM. With `ca` both sides show one. */
export interface BlockTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const FILE = /^[\w-][\w.-]{0,254}$/;

/** The name under which a block server gives a file: its directory (one an application) and its own name. */
export function blockFileOf(path: string): string {
  return path.split(/[\\/]/).slice(-2).join('/');
}

/** The directory and file of a name from the wire; undefined when it is none. Nothing else can be asked for. */
export function parseBlockFile(name: string): readonly [directory: string, file: string] | undefined {
  const [directory, file, ...rest] = name.split('/');
  if (directory === undefined || file === undefined || rest.length > 0) return undefined;
  return FILE.test(directory) && FILE.test(file) ? [directory, file] : undefined;
}
