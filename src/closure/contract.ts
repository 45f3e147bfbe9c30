/**
 * Closures as bytes. One call serializes a whole graph (a stage plan with every user function in it), so objects shared
 * by several functions stay shared on the other side.
 */

/** What serializing found on its way. */
export interface SerializedGraph {
  readonly bytes: Uint8Array;
  /** What travels by reference to a module. */
  readonly imports: readonly ImportedModule[];
}

/** `specifier` as imported by `parent` (a module URL, or empty). */
export interface ImportedModule {
  readonly specifier: string;
  readonly parent: string;
}

/**
 * An object that decides how it travels: returns the name of a reviver that the receiving side has registered, and
 * plain data for it; or throws (SparkContext, RDD) a coded error that says why it cannot travel.
 */
export interface ByReviver {
  [SERIALIZE](): { readonly reviver: string; readonly data: unknown };
}
export const SERIALIZE: unique symbol = Symbol.for('spark-proxy.serialize') as never;

/** name -> how to make the object again on this side. */
export type Revivers = Readonly<Record<string, (data: unknown) => unknown>>;

/**
 * serializeGraph(value): SerializedGraph
 *   Synchronous. Functions: source text plus captured environment (load-time thunk first, V8 inspector as fallback);
 *   imports, builtins and exported functions of non-entry modules by reference; everything else by value.
 *   @throws SP_CLOSURE_NOT_SERIALIZABLE with the path of the capture and a hint
 *
 * deserializeGraph(bytes, revivers): Promise<unknown>
 *   Imports what travels by reference, rebuilds the rest.
 */
export type SerializeGraph = (value: unknown) => SerializedGraph;
export type DeserializeGraph = (bytes: Uint8Array, revivers: Revivers) => Promise<unknown>;
