/** Finds the program of a module: what it exports, and classes that it only declares. */
import type { ParsedModule, SourceEditor } from '../loader/contract.ts';
import { PROGRAM_ERRORS } from './errors.ts';
import type { ProgramDefinition } from './contract.ts';
import { isProgramClass, isProgramDefinition, type ProgramClass } from './program.ts';
import { isWorkflow, type Workflow } from './workflow.ts';

/** Where edited modules leave the classes that they declare. */
const DECLARED = Symbol.for('spark-proxy.programs.declared');

/** A newcomer's `class MyProgram extends SparkProgram` needs no export: modules are made to say what they declare. */
export const declaredProgramsEditor: SourceEditor = {
  name: 'declared-programs',
  wants: ({ source }) => source.includes('extends SparkProgram'),
  readsOutline: () => true,
  edit({ program, edit, url }: ParsedModule): boolean {
    const names = program.body.flatMap((statement) => {
      const declaration = statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportDefaultDeclaration' ? statement.declaration : statement;
      if (declaration?.type !== 'ClassDeclaration' || declaration.id === null) return [];
      const { superClass } = declaration;
      return superClass?.type === 'Identifier' && superClass.name === 'SparkProgram' ? [declaration.id.name] : [];
    });
    if (names.length === 0) return false;
    edit.append(`;globalThis[Symbol.for('spark-proxy.programs.declared')]?.set(${JSON.stringify(url)}, [${names.join(', ')}]);`);
    return true;
  },
};

export type Found =
  | { readonly kind: 'class'; readonly name: string; readonly program: ProgramClass }
  | { readonly kind: 'definition'; readonly name: string | undefined; readonly program: ProgramDefinition }
  | { readonly kind: 'workflow'; readonly name: string; readonly workflow: Workflow }
  | { readonly kind: 'main'; readonly main: ((...args: string[]) => unknown) | undefined };

/** Call before the module is imported; gives what it declared afterwards. */
export function collectDeclared(): (url: string) => readonly ProgramClass[] {
  const declared = new Map<string, ProgramClass[]>();
  Object.defineProperty(globalThis, DECLARED, { value: declared, configurable: true });
  return (url) => declared.get(url) ?? [];
}

function recognise(exported: string, value: unknown): Found | undefined {
  if (isProgramClass(value)) return { kind: 'class', name: value.name || exported, program: value };
  if (isProgramDefinition(value)) return { kind: 'definition', name: value.name ?? (exported === 'default' ? undefined : exported), program: value };
  if (isWorkflow(value)) return { kind: 'workflow', name: value.name, workflow: value };
  return undefined;
}

/**
 * By its name, else the default export, else the only one there is, else `main`, else the module itself.
 * @throws SP_PROGRAM_NOT_FOUND, SP_PROGRAM_AMBIGUOUS
 */
export function findProgram(file: string, wanted: string | undefined, module: Readonly<Record<string, unknown>>, declared: readonly ProgramClass[]): Found {
  const found = Object.entries(module).flatMap(([name, value]) => recognise(name, value) ?? []);
  const values = new Set(found.map(identity));
  for (const one of declared) if (!values.has(one)) found.push({ kind: 'class', name: one.name, program: one });
  if (wanted !== undefined) {
    const match = found.find((one) => nameOf(one) === wanted) ?? recognise(wanted, module[wanted]);
    if (match !== undefined) return match;
    throw PROGRAM_ERRORS.NOT_FOUND({ file: `${file}#${wanted}`, found: found.map(nameOf).join(', ') || 'nothing of that name' });
  }
  const standard = recognise('default', module['default']);
  if (standard !== undefined) return standard;
  const distinct = [...new Map(found.map((one) => [identity(one), one])).values()];
  if (distinct.length === 1) return distinct[0] as Found;
  if (distinct.length > 1) throw PROGRAM_ERRORS.AMBIGUOUS({ file, names: distinct.map(nameOf).join(', ') });
  const main = module['main'];
  return { kind: 'main', main: typeof main === 'function' ? (main as (...args: string[]) => unknown) : undefined };
}

function identity(found: Found): unknown {
  return found.kind === 'main' ? found.main : found.kind === 'workflow' ? found.workflow : found.program;
}

function nameOf(found: Found): string {
  return found.kind === 'main' ? 'main' : (found.name ?? 'default');
}
