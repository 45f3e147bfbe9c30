import { SourceMap as NodeSourceMap, type SourceMapPayload } from 'node:module';
import { SourceMap, type default as MagicString } from 'magic-string';

export interface Edited {
  readonly code: string;
  readonly map: SourceMap;
}

/** The edited text with its map; where the text had been made from another (`inner`: the map of that), the map leads to the other. */
export function withMap(edits: MagicString, path: string, original: string, inner?: string): Edited {
  const decoded = edits.generateDecodedMap({ hires: 'boundary', source: path, includeContent: true });
  const code = edits.toString();
  if (inner === undefined) return { code, map: new SourceMap(decoded) };
  const before = new NodeSourceMap(JSON.parse(inner) as SourceMapPayload);
  const mappings = decoded.mappings.map((line) =>
    line.flatMap((segment): [number, number, number, number][] => {
      if (segment.length === 1) return [];
      const found = before.findEntry(segment[2], segment[3]);
      return 'originalLine' in found ? [[segment[0], 0, found.originalLine, found.originalColumn]] : [];
    }),
  );
  return { code, map: new SourceMap({ ...decoded, sources: [path], sourcesContent: [original], names: [], mappings }) };
}

const INLINE = /\n\/\/# sourceMappingURL=data:application\/json;(?:charset=utf-8;)?base64,([\w+/=]+)\s*$/;

/** Takes the map out of the text that it ends. */
export function takeInlineMap(source: string): { readonly source: string; readonly map: string | undefined } {
  const found = INLINE.exec(source);
  if (found === null) return { source, map: undefined };
  return { source: source.slice(0, found.index + 1), map: Buffer.from(found[1]!, 'base64').toString('utf8') };
}
