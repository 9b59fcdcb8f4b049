// Measures the UI in Chromium: transferred bytes, time until it is usable, and the speed of a long list of instances.
//
//   node bench.mjs URL ROUNDS
//
// Prints JSON. Environment: BENCH_EMAIL and BENCH_PASSWORD of an account that has many instances. Uses the
// playwright-core of tests/browser.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { watch } from './watch.mjs';

const require = createRequire(new URL('../../tests/browser/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const [base, rounds] = [process.argv[2], Number(process.argv[3])];
const { BENCH_EMAIL: email, BENCH_PASSWORD: password } = process.env;
const SIGN_IN = 'input[type=password]';
const ROW = 'main li[aria-setsize]';
const COUNT = 'main p[role=status]';
const SEARCH = 'support 12';
/** A page counts as interactive if it had no task over 50 ms for this time. */
const QUIET_MS = 5000;
/** Delay between two keys. */
const KEY_MS = 150;
/** Speed of a fast scroll wheel, in pixels per second. */
const SCROLL_SPEED = 8000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync', '--no-proxy-server'],
});

/** Results, in the order of the report. */
const metrics = new Map();
function note(name, about, ...values) {
  const metric = metrics.get(name) ?? { name, ...about, values: [] };
  metric.values.push(...values.map((value) => Math.round(value * 10) / 10));
  metrics.set(name, metric);
}
const MS = { unit: 'ms' };
const QUICK = { unit: 'ms', budget: 100 };

/** A browser context with an empty cache, optionally signed in. */
async function person(signedIn) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-GB' });
  context.setDefaultTimeout(60_000);
  if (signedIn) {
    const page = await context.newPage();
    // A page of the same origin that loads no file of the UI.
    await page.goto(`${base}/healthz`);
    const status = await page.evaluate(async (body) => {
      const headers = { 'content-type': 'application/json' };
      return (await fetch('/api/auth/login', { method: 'POST', headers, body })).status;
    }, JSON.stringify({ email, password }));
    assert.equal(status, 200, 'signed in');
    await page.close();
  }
  return context;
}

/** Opens a page and waits until the element `first` is painted. */
async function open(context, path, first, prepare = async () => {}) {
  const page = await context.newPage();
  await page.addInitScript(watch, first);
  await prepare(page);
  await page.goto(base + path, { waitUntil: 'commit' });
  return [page, await page.evaluate('bench.first')];
}

// --- transferred bytes -----------------------------------------------------------------------------------------------

/** Bytes that the browser received until the page was idle. */
async function loaded(path, first, encoding) {
  const context = await person(path !== '/sign-in');
  const requests = [];
  const [page] = await open(context, path, first, async (page) => {
    await page.setExtraHTTPHeaders({ 'accept-encoding': encoding });
    page.on('requestfinished', (request) => requests.push(request));
  });
  await page.evaluate('bench.quiet(1000)');
  const files = await Promise.all(
    requests.map(async (request) => {
      const [answer, sizes] = await Promise.all([request.response(), request.sizes()]);
      const { pathname } = new URL(request.url());
      return { pathname, bytes: sizes.responseBodySize, encoding: answer.headers()['content-encoding'] };
    }),
  );
  const scripts = files.filter((file) => file.pathname.endsWith('.js'));
  for (const script of scripts) {
    assert.equal(script.encoding, { br: 'br', gzip: 'gzip' }[encoding], script.pathname);
    // The terminal is far larger than everything else, so it is loaded when one is opened.
    assert.doesNotMatch(await (await fetch(base + script.pathname)).text(), /xterm/, `${script.pathname} is no terminal`);
  }
  await context.close();
  const total = (some) => some.reduce((sum, file) => sum + file.bytes, 0) / 1000;
  const ours = files.filter((file) => !file.pathname.startsWith('/api/'));
  return { script: total(scripts), files: scripts.length, all: total(ours) };
}

async function transfers() {
  for (const [name, path, first] of [
    ['sign-in', '/sign-in', SIGN_IN],
    ['instances', '/instances', ROW],
  ]) {
    const [gzip, br] = [await loaded(path, first, 'gzip'), await loaded(path, first, 'br')];
    note(`${name}: script, gzip`, { unit: 'kB', budget: 170 }, gzip.script);
    note(`${name}: script, brotli`, { unit: 'kB' }, br.script);
    note(`${name}: script files`, { unit: '' }, br.files);
    note(`${name}: all files, brotli`, { unit: 'kB' }, br.all);
  }
}

// --- times -----------------------------------------------------------------------------------------------------------

/** Performs an action and waits for its result. Both times are by the page's clock. */
async function until(page, [selector, text], act) {
  await page.evaluate(([selector, text]) => {
    bench.waiting = bench.shown(selector, text);
  }, [selector, text]);
  await act();
  const shown = await page.evaluate('bench.waiting');
  const input = await page.evaluate('bench.input');
  return { ...shown, input, took: shown.painted - input };
}

/** Loads a page by its URL until it is interactive. */
async function cold(name, context, path, first) {
  const [page, shown] = await open(context, path, first);
  note(`${name}: cold load -> painted`, MS, shown.painted);
  note(`${name}: cold load -> interactive`, MS, Math.max(shown.painted, await page.evaluate(`bench.quiet(${QUIET_MS})`)));
  return page;
}

/** Navigates within the UI to the list: first without cached data, then with it. */
async function navigate(context) {
  const [page] = await open(context, '/profile', 'main h1');
  const [instances, account] = [page.getByRole('link', { name: 'Instances' }), page.getByRole('button', { name: /^Account of/ })];
  await instances.hover();
  await page.evaluate('bench.quiet(500)');
  const first = await until(page, [ROW], () => instances.click());
  const list = await page.evaluate((after) => bench.requests('/api/instances?', after), first.input);
  note('list: click -> painted, nothing known', MS, first.took);
  note(`list: of it the API's ${list.count} answers`, MS, list.answered - list.asked);
  note('list: last answer -> painted', QUICK, first.painted - list.answered);
  await page.evaluate('bench.quiet(500)');
  const usage = await page.evaluate((after) => bench.requests('/api/instances/usage', after), first.input);
  note('list: usage of the rows in sight, API', MS, usage.answered - usage.asked);

  await account.click();
  const profile = page.getByRole('menuitem', { name: 'Profile and security' });
  await until(page, ['main h1', 'Profile and security'], () => profile.click());
  await page.evaluate('bench.quiet(500)');
  const again = await until(page, [ROW], () => instances.click());
  note('list: click -> painted, all known', QUICK, again.took);
  await page.evaluate('bench.quiet(500)');
  return page;
}

/** The text of the result count for each prefix of the search text. */
async function expected(page) {
  const names = await page.evaluate(async () => {
    const all = [];
    for (let cursor = ''; cursor !== undefined; ) {
      const answer = await (await fetch(`/api/instances?limit=100${cursor && `&cursor=${cursor}`}`)).json();
      all.push(...answer.items.map(({ name, id }) => `${name} ${id}`.toLowerCase()));
      cursor = answer.nextCursor ? encodeURIComponent(answer.nextCursor) : undefined;
    }
    return all;
  });
  const words = (text) => text.split(' ').filter(Boolean);
  const left = (text) => names.filter((name) => words(text).every((word) => name.includes(word))).length;
  const told = (count) => (count === names.length ? `${count} instances` : `${count} of ${names.length} instances`);
  return { all: names.length, told: (text) => told(left(text)) };
}

async function search(page) {
  const { all, told } = await expected(page);
  assert.ok(all >= 1000, `${all} instances`);
  const field = page.getByRole('searchbox');
  await field.click();
  for (let length = 1; length <= SEARCH.length; length += 1) {
    const changes = told(SEARCH.slice(0, length)) !== told(SEARCH.slice(0, length - 1));
    await page.evaluate(() => {
      bench.echo = bench.echoed();
    });
    const act = () => page.keyboard.press(SEARCH[length - 1]);
    const { took, input } = await until(page, [COUNT, told(SEARCH.slice(0, length))], act);
    if (changes) note('search: key -> rows painted', QUICK, took);
    note('search: key -> its echo painted', MS, (await page.evaluate('bench.echo')) - input);
    await page.waitForTimeout(KEY_MS);
  }
  await page.keyboard.press('Control+A');
  const cleared = await until(page, [COUNT, told('')], () => page.keyboard.press('Delete'));
  note('search: cleared -> all rows painted', QUICK, cleared.took);
}

async function scroll(page, context) {
  await page.evaluate('bench.quiet(500)');
  const last = `${ROW}[aria-posinset="${await page.locator(ROW).first().getAttribute('aria-setsize')}"]`;
  const session = await context.newCDPSession(page);
  await page.evaluate(() => {
    bench.longFrames.length = 0;
    bench.stop = bench.frames();
  });
  const yDistance = -(await page.evaluate('document.documentElement.scrollHeight'));
  await session.send('Input.synthesizeScrollGesture', { x: 640, y: 500, yDistance, speed: SCROLL_SPEED });
  await page.locator(last).waitFor();
  const [times, long] = await page.evaluate(() => [bench.stop(), bench.longFrames.map((frame) => frame.duration)]);
  note('scroll to the end: frames', { unit: '' }, times.length);
  note('scroll: frames over 50 ms', { unit: '', budget: 0 }, times.filter((time) => time > 50).length);
  note('scroll: long animation frames', { unit: '', budget: 0 }, long.length);
  note('scroll: longest frame', MS, Math.max(...times));
  await page.evaluate('scrollTo(0, 0)');
  await page.locator(`${ROW}[aria-posinset="1"]`).waitFor();
  await page.evaluate('bench.quiet(500)');
  const jump = () => page.evaluate('bench.input = performance.now(); scrollTo(0, document.documentElement.scrollHeight)');
  note('scroll: jump to the end -> last row painted', QUICK, (await until(page, [last], jump)).took);
}

process.stderr.write('what is loaded\n');
await transfers();
for (let round = 0; round < rounds; round += 1) {
  process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  const stranger = await person(false);
  await cold('sign-in', stranger, '/sign-in', SIGN_IN);
  await stranger.close();
  const known = await person(true);
  await (await cold('instances', known, '/instances', ROW)).close();
  await known.close();
  const context = await person(true);
  const page = await navigate(context);
  await search(page);
  await scroll(page, context);
  await context.close();
}
await browser.close();
console.log(JSON.stringify([...metrics.values()]));
