/** Where an executor's shuffle files are: read in place on the same machine, asked for over the network elsewhere. */
export interface BlockLocation {
  /** Readers of the same name share its files and open them by path. */
  readonly machine: string;
  /** `host:port` of the executor's block server; `tls:host:port` where both sides must show certificates. */
  readonly address: string;
  /** 64 hex digits: whoever knows them may read its blocks. Travels only inside envelopes, with the map status. */
  readonly token: string;
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
