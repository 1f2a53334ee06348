// How the console is built, served while developing, and tested.
//
// - The oldest kernel that must run it is Chromium 80: syntax is rewritten down to it, missing
//   library calls come from `src/shims.ts`.
// - Nothing is inlined into the page or into the styles: the server's policy is
//   `default-src 'self'`, which a data: address would break.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The Host stays ours: the centre refuses commands whose Origin is not their Host.
const centre = { target: process.env['FENGSUI_CENTRE'] ?? 'http://127.0.0.1:8080', changeOrigin: false };

export default defineConfig(({ mode }) => ({
  base: '/',
  plugins: [svelte()],
  build: {
    target: 'chrome80',
    cssTarget: 'chrome80',
    assetsInlineLimit: 0,
    sourcemap: false,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': centre, '/basic': centre } },
  ...(mode === 'test' ? { resolve: { conditions: ['browser'] } } : {}),
  test: { environment: 'happy-dom', include: ['tests/**/*.test.ts'] },
}));
