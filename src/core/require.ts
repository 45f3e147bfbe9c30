import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Where this file is; a bundler that writes CommonJS leaves `import.meta` empty: then a file of the working directory. */
const here = (import.meta.url as string | undefined) ?? join(process.cwd(), 'index.js');

/** Loads what is needed seldom, when it is needed; works in bundles too, where that is installed beside them. */
export const nodeRequire: NodeJS.Require = createRequire(here);
