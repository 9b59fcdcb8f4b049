import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// While developing, the API runs elsewhere (scripts/up). With CLAWDEPLOY_TOKEN the proxy signs in by itself.
const api = process.env.CLAWDEPLOY_URL ?? 'http://127.0.0.1:8080';
const token = process.env.CLAWDEPLOY_TOKEN;

/** Puts compressed copies beside what was built: the program serves them as they are. */
function compress(): Plugin {
  let directory = '';
  return {
    name: 'clawdeploy-compress',
    apply: 'build',
    configResolved(config) {
      directory = config.build.write ? config.build.outDir : '';
    },
    async closeBundle() {
      if (!directory) return;
      for (const entry of await readdir(directory, { recursive: true })) {
        if (!/\.(js|css|html|svg)$/.test(entry)) continue;
        const file = join(directory, entry);
        const content = await readFile(file);
        await writeFile(`${file}.br`, await promisify(brotliCompress)(content));
        await writeFile(`${file}.gz`, await promisify(gzip)(content, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), tailwindcss(), compress()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    // Every file is served from the program's memory: hashed names, cached for ever. Nothing is inlined, so that the
    // Content-Security-Policy needs no exception for data: scripts and fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // Two files instead of thirty small ones, which compress badly: an eighth less for the first load, in half the requests.
          groups: [
            // What every page needs; it changes with our dependencies only, so that browsers keep it over releases.
            {
              name: 'libraries',
              test: /\/node_modules\/(?:@tanstack\/)?(react|react-dom|scheduler|use-sync-external-store|react-router|router-core|history|react-store|store|query-core|react-query|tailwind-merge|clsx|class-variance-authority|openapi-fetch)\//,
            },
            // What more than half of the pages need. What fewer need would be loaded by those that do not.
            { name: 'shared', test: /\/src\/|lucide-react/, minShareCount: 20 },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      '/api': {
        target: api,
        ws: true,
        headers: token ? { authorization: `Bearer ${token}` } : {},
      },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
    setupFiles: ['src/test/setup.ts'],
  },
});
