/** `node tools/errors-doc.ts` writes docs/errors.md from the error tables of src/. */
import { declaredTables } from './error-tables.ts';
import { escaped, heading, writePage, type GeneratedPage } from './generated.ts';

export const errorsPage: GeneratedPage = {
  path: 'docs/errors.md',
  async make() {
    const lines = [
      heading('Errors', 'the error tables of `src/`', 'tools/errors-doc.ts'),
      'Every error a user can meet is a `SparkProxyError` with a stable `code`. Its message ends with a remedy, `fields` holds',
      'the values named in braces below, and `cause` what led to it. A code never changes its meaning.',
    ];
    const byPrefix = new Map<string, { file: string; rows: { code: string; message: string; remedy: string }[] }>();
    for (const { file, rows } of await declaredTables()) {
      for (const row of rows.values()) {
        const prefix = row.code.split('_')[1] as string;
        const section = byPrefix.get(prefix) ?? { file, rows: [] };
        section.rows.push(row);
        byPrefix.set(prefix, section);
      }
    }
    for (const [prefix, { file, rows }] of [...byPrefix].sort(([a], [b]) => (a < b ? -1 : 1))) {
      lines.push('', `## SP_${prefix}`, '', `Declared in [\`${file}\`](../${file}).`);
      for (const { code, message, remedy } of rows.sort((a, b) => (a.code < b.code ? -1 : 1))) {
        lines.push('', `### ${code}`, '', escaped(message), '', `> ${escaped(remedy)}`);
      }
    }
    return `${lines.join('\n')}\n`;
  },
};

if (import.meta.main) await writePage(errorsPage);
