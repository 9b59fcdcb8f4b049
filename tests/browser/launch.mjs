// The browser of every walk.
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** Headless Chromium with a profile of its own. `resolve` says where names lead; certificates are then the test's own. */
export function launch({ resolve } = {}) {
  return chromium.launch({
    // CHROMIUM may name another one than /usr/bin/chromium.
    executablePath: fileURLToPath(new URL('chromium', import.meta.url)),
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync', '--no-proxy-server'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-smooth-scrolling'],
      ...(resolve ? [`--host-resolver-rules=${resolve}`] : []),
    ],
  });
}
