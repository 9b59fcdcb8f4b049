// The browser of all walks.
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** Headless Chromium with a new profile. With `resolve`, host names lead elsewhere and certificates are not checked. */
export function launch({ resolve } = {}) {
  return chromium.launch({
    // The environment variable CHROMIUM may name another browser than /usr/bin/chromium.
    executablePath: fileURLToPath(new URL('chromium', import.meta.url)),
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync', '--no-proxy-server'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-smooth-scrolling'],
      ...(resolve ? [`--host-resolver-rules=${resolve}`] : []),
    ],
  });
}
