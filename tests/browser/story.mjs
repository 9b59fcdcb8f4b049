// The main story on OpenClaw itself, through nginx: from the door to a dashboard that is connected, and to its end.
//
//   node story.mjs --base https://SITE --email EMAIL --resolve 'MAP *.DOMAIN 127.0.0.1, …'     the instances' files are
//     below CLAWDEPLOY_TEST_DATA
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  button,
  context,
  createInstance,
  heading,
  link,
  options,
  page,
  picture,
  removeInstance,
  signIn,
  status,
  toast,
  walk,
} from './walk.mjs';

const NAME = 'Family assistant';
const TOKEN = '123456789:AAExampleExampleExampleExampleExample';
/** A gateway boots for a quarter of a minute on two free cores, and for minutes on busy ones. */
const BOOT = { timeout: 400_000 };
/** Until a page of OpenClaw's is connected: some megabytes of script. */
const CONNECTED_MS = 60_000;

/** A file of the instance that is open. */
const file = (name) => {
  const [, id] = /\/instances\/(\w+)/.exec(page.url());
  return readFileSync(`${process.env.CLAWDEPLOY_TEST_DATA}/${id}/${name}`, 'utf8');
};

async function enter() {
  await signIn();
  await page.getByText('Create your first instance').waitFor();
}

async function create() {
  await createInstance(NAME, { token: TOKEN });
  const steps = page.getByRole('list', { name: 'Steps' });
  await steps.getByText('Wait until the gateway answers').waitFor();
  await picture('story-progress');
  await status('Running').waitFor(BOOT);
  await toast(`${NAME} is running`).waitFor();
}

/** By the button, at the address of its own, until the gateway says `hello-ok` on the page's socket; `null`: it does not come so far. */
async function opened(host) {
  const opening = context.waitForEvent('page');
  await button('Open Dashboard').click();
  const tab = await opening;
  let connected = '';
  tab.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      if (String(payload).includes('"hello-ok"')) connected = socket.url();
    }),
  );
  const end = Date.now() + CONNECTED_MS;
  while (!connected && !tab.isClosed() && Date.now() < end) await page.waitForTimeout(250);
  if (connected) {
    assert.equal(new URL(connected).host, host);
    return tab;
  }
  await tab.close();
  return null;
}

async function dashboard() {
  const { host } = new URL(await page.locator('dd a[target=_blank]').getAttribute('href'));
  // Some megabytes of script may not come in time on a busy machine: then one clicks again.
  let tab = null;
  for (let tries = 0; !tab && tries < 3; tries += 1) tab = await opened(host);
  assert.ok(tab, 'the dashboard is connected');
  assert.equal(new URL(tab.url()).host, host);
  assert.equal(new URL(tab.url()).hash, '', 'what signed it in does not stay in the address bar');
  assert.equal(await tab.evaluate('window.opener'), null, 'a gateway has no hold on our page');
  await tab.waitForTimeout(1500);
  if (options.screenshots) await tab.screenshot({ path: `${options.screenshots}/story-dashboard.png` });
  await tab.close();
}

/** A quick command, to its end; whatever it asks, the answer is what it proposes. */
async function doctor() {
  await link('Terminal').click();
  await page.getByRole('button', { name: /^openclaw doctor/ }).click();
  const ended = page.getByText('Finished (exit code 0).');
  const failed = page.getByText(/^Ended with exit code/);
  const screen = page.locator('[data-terminal]');
  await screen.getByText(/doctor/i).first().waitFor(BOOT);
  let [seen, changed] = ['', Date.now()];
  const end = Date.now() + BOOT.timeout;
  while (!(await ended.isVisible())) {
    assert.ok(Date.now() < end && !(await failed.isVisible()), `it does not end well: ${seen}`);
    const now = await screen.innerText();
    if (now !== seen) [seen, changed] = [now, Date.now()];
    else if (Date.now() - changed > 6_000) {
      await screen.click();
      await page.keyboard.press('Enter');
      changed = Date.now();
    }
    await page.waitForTimeout(250);
  }
  await picture('story-doctor');
  await button('Run again').waitFor();
}

/** A file that its owner makes in a shell. */
async function shell() {
  await button('Open a shell').click();
  await page.getByText('Connected', { exact: true }).last().waitFor();
  await page.locator('[data-terminal]').click();
  await page.keyboard.type('echo mine > /home/node/workspace/note.txt && echo do""ne\n', { delay: 10 });
  await page.locator('[data-terminal]').getByText('done', { exact: true }).waitFor();
}

async function power() {
  await button('Stop').click();
  // A gateway with a channel that it cannot reach uses up the time it is given to stop.
  await status('Stopped').waitFor(BOOT);
  await button('Start').click();
  await status('Running').waitFor(BOOT);
  await kept();
}

/** What was configured, and what its owner made, is still there. */
async function kept() {
  await link('Settings').click();
  await heading('Chat channel').waitFor();
  assert.ok(await page.getByRole('radio', { name: /^Telegram/ }).isChecked(), 'the channel is kept');
  const { channels } = JSON.parse(file('config/openclaw.json'));
  assert.equal(channels.telegram.botToken, TOKEN);
  assert.equal(file('workspace/note.txt'), 'mine\n');
}

async function remove() {
  await removeInstance(NAME, BOOT);
  await page.getByText('Create your first instance').waitFor();
}

await walk([enter, create, dashboard, doctor, shell, power, remove]);
