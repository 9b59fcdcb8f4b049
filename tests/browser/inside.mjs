// The inside of an instance: its log, its usage and its devices.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { begin, enter, openShell, screen, sees } from './shell.mjs';
import { button, dialog, link, look, page, status, toast, until, walk } from './walk.mjs';

const log = () => page.getByRole('region', { name: 'Log of the gateway' });
const follow = () => button('Follow');
const pressed = (is) => until(`following: ${is}`, async () => (await follow().getAttribute('aria-pressed')) === is);
const search = (text) => page.getByRole('searchbox', { name: 'Search in the log' }).fill(text);
/** "… of … lines": the first number. */
const counted = () => page.getByRole('status').getByText(/of [\d,]+ lines$/);
const number = async () => Number.parseInt((await counted().innerText()).replace(',', ''), 10);
/** Scroll position of the log, once it was the same for ten frames. */
const place = () =>
  log().evaluate(async (box) => {
    for (let [still, before] = [0, -1]; still < 10; still = box.scrollTop === before ? still + 1 : 0) {
      before = box.scrollTop;
      await new Promise((drawn) => requestAnimationFrame(drawn));
    }
    return Math.round(box.scrollTop);
  });
let gateway = '';

async function instance() {
  await begin('Family assistant');
  gateway = await page.locator('dd a[target=_blank]').getAttribute('href');
  await link('Logs').click();
  await log().getByText('fake gateway: listening on 18789').waitFor();
  await page.getByText('1 line', { exact: true }).waitFor();
}

/** A busy gateway: three hundred lines at once, some of them errors, and then one line at a time. */
async function busy() {
  await openShell();
  await enter('for i in $(seq 300); do echo "request $i was answered in $((i * 7 % 90)) ms"; done >/proc/1/fd/1');
  await enter('for i in 1 2 3; do echo "the model was slow to answer, try $i"; done >/proc/1/fd/2; echo do""ne');
  await sees('done');
  await link('Logs').click();
  await log().getByText('the model was slow to answer, try 3').waitFor();
  await page.getByText('live', { exact: true }).waitFor();
  await page.getByText('304 lines').waitFor();
  await pressed('true');
  await look('logs');
  await link('Terminal').click();
  await enter('while sleep 0.3; do echo "tick $((n += 1))" >/proc/1/fd/1; done');
  await link('Logs').click();
  await log().getByText(/^tick \d+$/).first().waitFor();
}

const ticks = async () => Number((await log().getByText(/^tick \d+$/).last().innerText()).slice(5));

/** The log stays where the user scrolled to, and follows the output only at its end. */
async function following() {
  const first = await ticks();
  await until('more ticks', async () => (await ticks()) > first + 3);
  await pressed('true');
  await log().hover();
  await page.mouse.wheel(0, -1500);
  await button('Go to the end').waitFor();
  await pressed('false');
  const at = await place();
  const lines = () => page.getByText(/^[\d,]+ lines$/).innerText();
  const before = await lines();
  await until('more lines', async () => (await lines()) !== before);
  await page.waitForTimeout(500);
  assert.equal(await place(), at, 'the log scrolled while it was not following');
  await button('Go to the end').click();
  await until('the newest', async () => (await ticks()) > first + 5);
  await pressed('true');
  await follow().click();
  await pressed('false');
  const still = await place();
  const then = await lines();
  await until('more lines', async () => (await lines()) !== then);
  await page.waitForTimeout(500);
  assert.equal(await place(), still, 'switched off, it stays');
  await follow().click();
  await pressed('true');
  // A new page begins with the last 500 lines. The first line, which is counted below, must stay among them.
  await link('Terminal').click();
  await screen().locator('textarea').focus();
  await page.keyboard.press('Control+C');
  await sees('^C');
  await link('Logs').click();
  await log().getByText(/^tick \d+$/).first().waitFor();
}

async function searching() {
  await search('Request 29');
  await until('eleven lines', async () => (await number()) === 11);
  const marks = await log().locator('mark').allInnerTexts();
  assert.deepEqual(marks, Array(11).fill('request 29'));
  await look('logs-search');
  await search('nothing of the kind');
  await log().getByText('No matching lines.').waitFor();
  assert.equal(await number(), 0);
  await look('logs-no-match');
  await search('');
}

async function download() {
  const [file] = await Promise.all([page.waitForEvent('download'), link('Download').click()]);
  assert.match(file.suggestedFilename(), /^[0-9a-z]+\.log$/);
  const lines = readFileSync(await file.path(), 'utf8').trimEnd().split('\n');
  for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /);
  assert.ok(lines.some((line) => line.endsWith(' request 300 was answered in 30 ms')));
  assert.ok(lines.some((line) => / tick \d+$/.test(line)));
}

/** A gateway that crashes is restarted, and its log continues by itself. */
async function crash() {
  await search('listening');
  await until('one start', async () => (await number()) === 1);
  await fetch(new URL('/crash', gateway)).catch(() => {});
  await until('the second start', async () => (await number()) === 2);
  await search('told to crash');
  await until('its last words', async () => (await number()) === 1);
  await page.getByText('live', { exact: true }).waitFor();
  await status('Running').waitFor();
  await search('listening');
  // If the crash is noticed only now, the instance is starting, and a restart is refused or not offered.
  await until('a restart', async () => {
    await status('Running').waitFor();
    const answer = page.waitForResponse(/\/restart$/).then((restart) => restart.ok());
    const clicked = async () => {
      await button('More actions').click();
      await page.getByRole('menuitem', { name: 'Restart' }).click({ timeout: 10_000 });
      return answer;
    };
    return clicked().catch(async () => {
      answer.catch(() => {});
      await page.keyboard.press('Escape');
      return false;
    });
  });
  await toast('Family assistant has restarted').waitFor();
  await until('the third start', async () => (await number()) === 3);
  await page.getByText('live', { exact: true }).waitFor();
  await search('');
}

const chart = (name) => page.getByRole('img', { name });

async function usage() {
  // As in the first seconds of an instance.
  const streams = /\/usage(\/history)?$/;
  await page.route(streams, (route) =>
    route.request().url().endsWith('history') ? route.fulfill({ json: { points: [] } }) : route.abort(),
  );
  await link('Usage').click();
  await page.getByText('No data yet. Usage is recorded once a minute while the instance runs.').waitFor();
  await look('usage-empty');
  await page.unroute(streams);
  await page.reload();
  for (const name of [/^CPU: last [\d.]+%, at most/, /^Memory: last [\d.]+ [KM]B, at most/, /^Disk: last [\d.]+ [KM]?B/]) {
    await chart(name).waitFor();
  }
  await chart(/^Network: last received [\d.]+ [KM]?B\/s, sent [\d.]+ [KM]?B\/s, at most/).waitFor();
  const range = page.getByRole('combobox', { name: 'Time range' });
  assert.equal(await range.inputValue(), '1', 'a young instance must be shown with a short range');
  await range.selectOption('24 hours');
  await page.getByText(/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/).first().waitFor();
  await range.selectOption('6 hours');
  await look('usage');
  await chart(/^Memory/).hover();
  await page.getByText('of 2 GB').waitFor({ state: 'detached' });
}

async function devices() {
  const name = 'openclaw-control-ui · Linux x86_64';
  await link('Devices').click();
  await page.getByText('198.51.100.7').waitFor();
  await button('Approve').click();
  await toast(`${name} was approved`).waitFor();
  await button('Reject').click();
  await toast(`${name} was rejected`).waitFor();
  await button('Remove').click();
  await dialog().getByText('It is signed out immediately and must ask for approval again.').waitFor();
  await look('devices-remove');
  await dialog().getByRole('button', { name: 'Remove' }).click();
  await toast(`${name} was removed`).waitFor();
  // Until no device is left.
  await openShell();
  await enter('echo alone >~/.openclaw/mood; echo qui""et');
  await sees('quiet');
  await link('Devices').click();
  await page.getByText('No device is waiting').waitFor();
  await page.getByText('No devices yet').waitFor();
  await look('devices-empty');
}

/** A stopped instance shows its last data and a way to start it. */
async function stopped() {
  await button('Stop').click();
  await status('Stopped').waitFor();
  await page.getByText('Start the instance to see its devices.').waitFor();
  await look('devices-stopped');
  await link('Usage').click();
  await page.getByText('The instance is not running, so no new data is recorded.').waitFor();
  await chart(/^CPU: last/).waitFor();
  await look('usage-stopped');
  await link('Logs').click();
  await page.getByText('The instance is not running. This is its last output.').waitFor();
  await page.getByText('not running', { exact: true }).waitFor();
  await log().getByText('fake gateway: listening on 18789').first().waitFor();
  await look('logs-stopped');
  await button('Start').last().click();
  await status('Running').waitFor();
  await page.getByText('live', { exact: true }).waitFor();
}

await walk([instance, busy, following, searching, download, crash, usage, devices, stopped]);
