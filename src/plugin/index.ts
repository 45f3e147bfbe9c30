/**
 * Weaving when a program is built: one plugin for Vite, Rollup and esbuild.
 *
 * The modules are woven as `spark-proxy/register` would weave them when they are loaded, and the aspects go into the bundle, so that what
 * is built needs no preload. In development, `vite` weaves modules that its server runs (SSR) too.
 */
import { createUnplugin, type UnpluginInstance } from 'unplugin';
import { WeaveBuild, type WeaveBuildOptions } from './build.ts';

export type { WeaveBuildOptions } from './build.ts';

/**
 * `sparkProxy.vite({ aspects: ['./src/aspects.ts'] })`, `sparkProxy.rollup(...)`, `sparkProxy.esbuild(...)`. With esbuild, TypeScript is
 * compiled before it is woven, by the nearest tsconfig.json; with Rollup, put the plugin behind the one that compiles.
 * @throws SP_PLUGIN_NO_ASPECTS; the build fails with SP_PLUGIN_ASPECTS_FAILED, and with SP_PLUGIN_NO_MATCH when `strict`
 */
export const sparkProxy: UnpluginInstance<WeaveBuildOptions> = createUnplugin<WeaveBuildOptions>((options, { framework }) => {
  const build = new WeaveBuild(options);
  const isEsbuild = framework === 'esbuild';
  return {
    name: 'spark-proxy',
    async buildStart() {
      await build.start();
      // Bundlers that watch rebuild when the aspects change; esbuild is told by the module that imports them.
      if (!isEsbuild) for (const file of build.files) this.addWatchFile(file);
    },
    resolveId(id) {
      return id === build.id ? id : undefined;
    },
    load: {
      filter: { id: /spark-proxy-built-aspects\.mjs$/ },
      handler: (id) => (id === build.id ? build.registration() : undefined),
    },
    transform: {
      filter: { id: /\.(?:[cm]?[jt]s|[jt]sx)(?:\?.*)?$/ },
      handler(code, id) {
        // Vite's `?raw`, `?url` and the like are no programs.
        const [path = id, query] = id.split('?', 2);
        if (path.startsWith('\0') || (query !== undefined && !/^(?:v|t|import)\b/.test(query))) return undefined;
        const edited = build.transform(code, path, isEsbuild);
        return edited === undefined ? undefined : { code: edited.code, map: edited.map as never };
      },
    },
    buildEnd() {
      for (const message of build.end()) {
        if (isEsbuild) process.emitWarning(message, { type: 'SparkProxyWarning', code: 'SP_PLUGIN' });
        else (this as unknown as { warn(message: string): void }).warn(message);
      }
    },
    vite: {
      configResolved: ({ root }) => build.setRoot(root),
    },
    esbuild: {
      config: ({ absWorkingDir }) => build.setRoot(absWorkingDir ?? process.cwd()),
    },
  };
});
