// Opens a dashboard in Chromium and prints its state as one line of JSON.
//
//   node dashboard.mjs --url URL [--want connected|pairing] [--within SECONDS] [--screenshot FILE]
//     [--gateway PORT --origin https://ID.DOMAIN]   through a proxy like nginx; URL is the part after the origin
//     [--resolve 'MAP *.DOMAIN 127.0.0.1:PORT']     Chromium's --host-resolver-rules; certificates are not checked then
//
// With `--want pairing` it prints {"state":"pairing"} as soon as the page asks for approval, and waits until it is
// connected.
import { parseArgs } from 'node:util';
import { launch } from './launch.mjs';
import { serve } from './proxy.mjs';

const { values: options } = parseArgs({
  options: Object.fromEntries(
    ['url', 'want', 'within', 'screenshot', 'gateway', 'origin', 'resolve'].map((name) => [name, { type: 'string' }]),
  ),
});
const end = Date.now() + Number(options.within ?? 120) * 1000;
const say = (state, more = {}) => console.log(JSON.stringify({ state, ...more }));

const origin = options.gateway ? await serve({ port: Number(options.gateway), origin: options.origin }) : '';
const browser = await launch({ resolve: options.resolve });
const context = await browser.newContext({ ignoreHTTPSErrors: Boolean(options.resolve) });
const page = await context.newPage();

// The gateway sends `hello-ok` on the socket when it has accepted the page.
let connected = false;
let at = '';
page.on('websocket', (socket) => {
  at = socket.url().split('?')[0];
  socket.on('framereceived', ({ payload }) => (connected ||= String(payload).includes('"hello-ok"')));
  socket.on('close', () => (connected = false));
});

// Violations of the page's policies.
const refused = [];
page.on('console', (line) => /Content Security Policy|CORS policy/.test(line.text()) && refused.push(line.text()));

const text = () => page.innerText('body').catch(() => '');
let told = false;
let loaded = 0;
let url = origin + options.url;
while (Date.now() < end) {
  const shown = await text();
  if (!told && /Approve this browser/.test(shown)) say('pairing', (told = true) && {});
  if (connected && !/could not load/i.test(shown) && (options.want !== 'pairing' || told)) break;
  // A gateway that has just started may not answer all requests yet, so the page is loaded again.
  if (Date.now() - loaded > 20_000 && !told && !connected) {
    loaded = Date.now();
    await page.goto(url, { waitUntil: 'load' }).catch(() => {});
  } else if (/could not load/i.test(shown)) {
    await page.reload({ waitUntil: 'load' }).catch(() => {});
  }
  await page.waitForTimeout(500);
}
await page.waitForTimeout(1500);
if (options.screenshot) await page.screenshot({ path: options.screenshot });
const shown = { url: page.url().split('#')[0], fragment: page.url().includes('#'), text: (await text()).slice(0, 600) };
say(connected ? 'connected' : 'failed', { ...shown, socket: at, refused });
await browser.close();
process.exit(connected ? 0 : 1);
