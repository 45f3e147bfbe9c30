/** Pages of docs/ that are made from the source: written by `npm run docs`, and a test fails when one is stale. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface GeneratedPage {
  /** Relative to the root of the repository. */
  readonly path: string;
  make(): Promise<string>;
}

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** First lines of every generated page. */
export function heading(title: string, source: string, command: string): string {
  return `# ${title}\n\n<!-- Made from ${source} by \`node ${command}\`; do not edit. -->\n`;
}

/** Text as it is, in Markdown: what would begin a tag, a table cell or an emphasis is escaped; code in backticks is left alone. */
export function escaped(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? part : part.replace(/[<>|*[\]]/g, '\\$&')))
    .join('')
    .replaceAll('\n', ' ');
}

export async function writePage(page: GeneratedPage): Promise<void> {
  writeFileSync(new URL(`../${page.path}`, import.meta.url), await page.make());
  console.log(`${page.path} written`);
}
