// Opens dashboards in Chromium, which has started before: reads their links from the standard input, a line each, and prints
// when the page had content (`first-contentful-paint`) and when the gateway let it in (`hello-ok`), in milliseconds since 1970.
import { createInterface } from 'node:readline';
import { launch } from '../../tests/browser/launch.mjs';

const PATIENCE_MS = 120_000;

// The names of instances lead to this machine, and its certificate is its own.
const browser = await launch({ resolve: 'MAP *.localhost 127.0.0.1' });
console.log('ready');
for await (const link of createInterface({ input: process.stdin })) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const connected = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`not connected: ${page.url().split('#')[0]}`)), PATIENCE_MS).unref();
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => String(payload).includes('"hello-ok"') && resolve(Date.now())),
    );
  });
  await page.goto(link);
  const painted = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const tell = (list) => {
          const [entry] = list.getEntriesByName('first-contentful-paint');
          if (entry) resolve(performance.timeOrigin + entry.startTime);
        };
        new PerformanceObserver(tell).observe({ type: 'paint', buffered: true });
      }),
  );
  console.log(Math.round(painted), await connected);
  await context.close();
}
await browser.close();
