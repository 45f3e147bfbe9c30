import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { build as esbuild, transformSync, type BuildOptions } from 'esbuild';
import { rollup } from '@rollup/wasm-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
// The built package, which is also what the project's aspects import.
import { sparkProxy } from 'spark-proxy/plugin';
import { build as vite, createServer } from 'vite';
import { APPLICATION, makeProject, OUTPUT, type Project } from '../support/project.ts';

const aspects = ['src/aspects.ts'];
let project: Project;
beforeAll(() => {
  project = makeProject(APPLICATION);
});
afterAll(() => project.remove());

const bundle = (options: BuildOptions, strict = true): ReturnType<typeof esbuild> =>
  esbuild({
    absWorkingDir: project.directory,
    entryPoints: ['src/main.ts'],
    bundle: true,
    platform: 'node',
    sourcemap: true,
    logLevel: 'silent',
    plugins: [sparkProxy.esbuild({ aspects, strict })],
    ...options,
  });

describe('esbuild', () => {
  test('an application bundled into one file runs woven, and its errors point into the sources', async () => {
    await bundle({ format: 'esm', outfile: 'esbuild/app.mjs' });
    expect((await project.run(['--enable-source-maps', 'esbuild/app.mjs'])).stdout).toBe(OUTPUT);
  });

  test('one CommonJS file, minified, says nothing of the machine that made it', async () => {
    await bundle({ format: 'cjs', minify: true, keepNames: true, outfile: 'esbuild/app.cjs' });
    expect((await project.run(['--enable-source-maps', 'esbuild/app.cjs'])).stdout).toBe(OUTPUT);
    expect(readFileSync(project.file('esbuild/app.cjs'), 'utf8')).not.toContain(basename(project.directory));
  });

  test('a woven bundle under the preload is not woven twice', async () => {
    await bundle({ format: 'esm', outfile: 'esbuild/twice.mjs' });
    const preload = ['--import', 'spark-proxy/register', '--enable-source-maps'];
    expect((await project.run([...preload, 'esbuild/twice.mjs'])).stdout).toBe(OUTPUT);
  });

  test('classes with decorators are compiled first, and their errors still point into the sources', async () => {
    project.write('tsconfig.json', '{ "compilerOptions": { "experimentalDecorators": true, "target": "es2022" } }');
    project.write(
      'src/decorated.ts',
      `import { annotation } from 'spark-proxy/aspects';\nconst Cached = annotation('Cached');\n\nenum Size {\n  small = 7,\n}\n\nexport class Shop {\n  @Cached()\n  size(): Size {\n    return Size.small;\n  }\n\n  fail(): never {\n    throw new Error('closed');\n  }\n}\n
const shop = new Shop();\nconsole.log(shop.size());\ntry {\n  shop.fail();\n} catch (error) {\n  console.log(/src.decorated.ts:\\d+:\\d+/.exec(String((error as Error).stack))?.[0]);\n}\n`,
    );
    project.write(
      'src/cached.ts',
      `import { annotated, around, Around, execution, within } from 'spark-proxy/aspects';\nexport class Sizes {\n  @Around(annotated('Cached').and(within('**/src/decorated.ts')).and(execution()))\n  more(_jp: unknown, proceed: () => number): number {\n    return proceed() + 1;\n  }\n}\nexport const traced = [{ pointcut: execution('Shop.fail').and(within('**/src/decorated.ts')), advice: around((_jp, proceed) => proceed()) }];\n`,
    );
    const plugins = [sparkProxy.esbuild({ aspects: ['./src/cached.ts'], strict: true })];
    await bundle({ format: 'esm', entryPoints: ['src/decorated.ts'], outfile: 'esbuild/decorated.mjs', plugins });
    expect((await project.run(['--enable-source-maps', 'esbuild/decorated.mjs'])).stdout).toBe('8\nsrc/decorated.ts:15:11\n');
  });
});

describe('Vite', () => {
  const config = (outDir: string, strict = true) => ({
    root: project.directory,
    configFile: false as const,
    logLevel: 'silent' as const,
    plugins: [sparkProxy.vite({ aspects, strict })],
    build: { ssr: 'src/main.ts', outDir, sourcemap: true, minify: false, emptyOutDir: true },
    ssr: { noExternal: true as const },
  });

  test('a build with everything inside runs woven, with source maps', async () => {
    await vite(config('vite'));
    expect((await project.run(['--enable-source-maps', 'vite/main.js'])).stdout).toBe(OUTPUT);
  });

  test('a build that leaves packages outside weaves its own modules', async () => {
    await vite({ ...config('vite-outside', false), ssr: {} });
    const { stdout } = await project.run(['--enable-source-maps', 'vite-outside/main.js']);
    expect(stdout).toBe(OUTPUT.replace(' 8.5', ' 8'));
  });

  test('modules that the development server runs are woven', async () => {
    const server = await createServer({
      ...config('unused', false),
      server: { middlewareMode: true, ws: false, watch: null },
      appType: 'custom',
      ssr: { external: ['spark-proxy'] },
    });
    try {
      const { newest } = (await server.ssrLoadModule('/src/orders.ts')) as { newest: () => unknown };
      expect(newest()).toBe('<false>');
    } finally {
      await server.close();
    }
  });
});

describe('Rollup', () => {
  /** What stands for a plugin that compiles TypeScript, and for node-resolve. */
  const compile = {
    name: 'compile',
    resolveId: (id: string) => (/^[./]|\.m?ts$/.test(id) ? null : { id: createRequire(project.file('package.json')).resolve(id), external: true }),
    transform: (code: string, id: string) => (id.endsWith('.ts') ? transformSync(code, { loader: 'ts', sourcemap: true, sourcefile: id }) : null),
  };

  test('a build runs woven, with source maps', async () => {
    const warnings: string[] = [];
    const built = await rollup({
      input: project.file('src/main.ts'),
      plugins: [compile as never, sparkProxy.rollup({ aspects, root: project.directory })],
      onwarn: ({ message }) => void warnings.push(message),
    });
    await built.write({ dir: project.file('rollup'), format: 'es', sourcemap: true, entryFileNames: '[name].mjs' });
    await built.close();
    const { stdout } = await project.run(['--enable-source-maps', 'rollup/main.mjs']);
    expect(stdout).toBe(OUTPUT.replace(' 8.5', ' 8'));
    // The package was left outside.
    expect(warnings).toEqual([expect.stringMatching(/nothing in this build is matched by .*twice/)]);
  });
});

describe('what goes wrong is said when it is built', () => {
  test('no aspects', () => {
    expect(() => sparkProxy.esbuild({ aspects: [] })).toThrow(expect.objectContaining({ code: 'SP_PLUGIN_NO_ASPECTS' }));
  });

  test('aspects that cannot be loaded', async () => {
    project.write('src/broken.ts', 'throw new Error("no database here");\nexport {};\n');
    const failed = bundle({ outfile: 'esbuild/none.mjs', plugins: [sparkProxy.esbuild({ aspects: ['src/broken.ts'] })] });
    await expect(failed).rejects.toThrow(/the aspects of .*broken\.ts cannot be loaded: no database here/);
  });

  test('a pointcut that matches nothing fails a strict build', async () => {
    project.write(
      'src/missing.ts',
      `import { before, execution, within } from 'spark-proxy/aspects';\nexport default [{ pointcut: execution('Orders.sumbit').and(within('**/src/**')), advice: before(() => undefined) }];\n`,
    );
    const failed = bundle({ outfile: 'esbuild/none.mjs', plugins: [sparkProxy.esbuild({ aspects: ['src/missing.ts'], strict: true })] });
    await expect(failed).rejects.toThrow(/nothing in this build is matched by .*Orders\.sumbit/);
  });
});
