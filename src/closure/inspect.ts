import inspector from 'node:inspector';

/**
 * Reads what a function captured through V8's inspector, with no set-up: the fallback for functions of modules that were not transformed.
 * The session talks to its own thread, synchronously; nothing is paused. A call costs some 100 us.
 */

export interface Inspected {
  /** Captured values by name, innermost scope first; a binding that is not initialised is in `uninitialised`. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly uninitialised: ReadonlySet<string>;
  /** Names found in the module scope. */
  readonly moduleNames: ReadonlySet<string>;
  /** Values of import bindings that were asked for. */
  readonly imported: ReadonlyMap<string, unknown>;
  /** URL of the script, empty when it has none; zero-based position of the function's parameters. */
  readonly url: string;
  readonly line: number;
  readonly column: number;
}

export interface InspectedBound {
  readonly target: unknown;
  readonly boundThis: unknown;
  readonly boundArgs: readonly unknown[];
}

interface RemoteObject {
  readonly type: string;
  readonly value?: unknown;
  readonly unserializableValue?: string;
  readonly objectId?: string;
  readonly description?: string;
}
interface Property {
  readonly name: string;
  readonly value?: RemoteObject;
}

const GROUP = 'spark-proxy';
const BOX = Symbol.for('spark-proxy.inspect');
const box = globalThis as unknown as Record<symbol, { subject: unknown; out: unknown[] } | undefined>;

let session: inspector.Session | undefined;
const scripts = new Map<string, string>();

function post<T>(method: string, params: object): T {
  if (session === undefined) {
    session = new inspector.Session();
    session.connect();
    session.on('Debugger.scriptParsed', ({ params: script }) => scripts.set(script.scriptId, script.url));
  }
  let failure: Error | null = null;
  let answer: unknown;
  session.post(method, params, (error: Error | null, result?: object) => {
    failure = error;
    answer = result;
  });
  if (failure !== null) throw failure as Error;
  return answer as T;
}

function properties(objectId: string): { result: readonly Property[]; internalProperties?: readonly Property[] } {
  return post('Runtime.getProperties', { objectId, ownProperties: true });
}

/** Runs `read` on the remote twin of `subject`, and lets go of all remote objects afterwards. */
function withRemote<T>(subject: unknown, read: (id: string) => T): T {
  box[BOX] = { subject, out: [] };
  try {
    const expression = `globalThis[Symbol.for('spark-proxy.inspect')].subject`;
    const { result } = post<{ result: RemoteObject }>('Runtime.evaluate', { expression, objectGroup: GROUP, silent: true });
    return read(result.objectId as string);
  } finally {
    post('Runtime.releaseObjectGroup', { objectGroup: GROUP });
    delete box[BOX];
  }
}

/** Remote objects to the values themselves. */
function local(anchor: string, objects: readonly RemoteObject[]): unknown[] {
  const args = objects.map(({ objectId, unserializableValue, value, type }) =>
    objectId !== undefined ? { objectId } : unserializableValue !== undefined ? { unserializableValue } : type === 'undefined' ? {} : { value },
  );
  const functionDeclaration = `function (...values) { globalThis[Symbol.for('spark-proxy.inspect')].out = values; }`;
  post('Runtime.callFunctionOn', { functionDeclaration, objectId: anchor, arguments: args, silent: true });
  return box[BOX]?.out ?? [];
}

function urlOf(scriptId: string): string {
  if (!scripts.has(scriptId)) {
    // Enabling reports all scripts at once; left on, it would keep V8 from optimising some code.
    post('Debugger.enable', {});
    post('Debugger.disable', {});
  }
  return scripts.get(scriptId) ?? '';
}

/** Scopes of `fn`, searched for `names`; `importsOf` says which import bindings of its module are wanted besides. */
export function inspectFunction(fn: object, names: ReadonlySet<string>, importsOf: (url: string) => ReadonlySet<string>): Inspected {
  return withRemote(fn, (id) => {
    const { internalProperties = [] } = properties(id);
    const internal = (name: string): RemoteObject | undefined => internalProperties.find((property) => property.name === name)?.value;
    const place = internal('[[FunctionLocation]]')?.value as { scriptId: string; lineNumber: number; columnNumber: number } | undefined;
    const url = place === undefined ? '' : urlOf(place.scriptId);
    const wanted = importsOf(url);
    const found = new Map<string, RemoteObject>();
    const importObjects = new Map<string, RemoteObject>();
    const uninitialised = new Set<string>();
    const moduleNames = new Set<string>();
    const scopes = internal('[[Scopes]]')?.objectId;
    for (const scope of scopes === undefined ? [] : properties(scopes).result) {
      const { objectId, description = '' } = scope.value ?? { type: '' };
      if (objectId === undefined || description === 'Global' || !/^\d+$/.test(scope.name)) continue;
      for (const { name, value } of properties(objectId).result) {
        if (description === 'Module' && value !== undefined && wanted.has(name)) importObjects.set(name, value);
        if (!names.has(name) || found.has(name) || uninitialised.has(name)) continue;
        if (description === 'Module') moduleNames.add(name);
        if (value === undefined) uninitialised.add(name);
        else found.set(name, value);
      }
    }
    const values = local(id, [...found.values(), ...importObjects.values()]);
    return {
      values: new Map([...found.keys()].map((name, at) => [name, values[at]])),
      uninitialised,
      moduleNames,
      imported: new Map([...importObjects.keys()].map((name, at) => [name, values[found.size + at]])),
      url,
      line: place?.lineNumber ?? 0,
      column: place?.columnNumber ?? 0,
    };
  });
}

/** What `bind` was called with; undefined when `fn` is not a bound function. */
export function inspectBound(fn: object): InspectedBound | undefined {
  return withRemote(fn, (id) => {
    const { internalProperties = [] } = properties(id);
    const parts = ['[[TargetFunction]]', '[[BoundThis]]', '[[BoundArgs]]'].map((name) => internalProperties.find((property) => property.name === name)?.value);
    if (parts[0] === undefined) return undefined;
    const [target, boundThis, boundArgs] = local(
      id,
      parts.map((part) => part ?? { type: 'undefined' }),
    );
    return { target, boundThis, boundArgs: Array.isArray(boundArgs) ? boundArgs : [] };
  });
}
