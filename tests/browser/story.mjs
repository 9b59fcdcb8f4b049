// The main user story with the real OpenClaw, through nginx: from the sign-in to a connected dashboard and the
// deletion.
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
/** A boot takes 15 seconds on two idle cores, and minutes on busy ones. */
const BOOT = { timeout: 400_000 };
/** Time until a page of OpenClaw is connected: it loads some megabytes of script. */
const CONNECTED_MS = 60_000;

/** A file of the open instance. */
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

/** Opens the dashboard by its button and waits for `hello-ok` on its socket. `null`: it was not connected in time. */
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
  // On a busy machine the scripts may not load in time, so this is tried again.
  let tab = null;
  for (let tries = 0; !tab && tries < 3; tries += 1) tab = await opened(host);
  assert.ok(tab, 'the dashboard is connected');
  assert.equal(new URL(tab.url()).host, host);
  assert.equal(new URL(tab.url()).hash, '', 'the credential must not stay in the address bar');
  assert.equal(await tab.evaluate('window.opener'), null, 'a gateway must not have access to our page');
  await tab.waitForTimeout(1500);
  if (options.screenshots) await tab.screenshot({ path: `${options.screenshots}/story-dashboard.png` });
  await tab.close();
}

/** Runs a quick command to its end. Every question is answered with its default. */
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

/** Creates a file in a shell. */
async function shell() {
  await button('Open a shell').click();
  await page.getByText('Connected', { exact: true }).last().waitFor();
  await page.locator('[data-terminal]').click();
  await page.keyboard.type('echo mine > /home/node/workspace/note.txt && echo do""ne\n', { delay: 10 });
  await page.locator('[data-terminal]').getByText('done', { exact: true }).waitFor();
}

async function power() {
  await button('Stop').click();
  // A gateway with a channel that it cannot reach uses its whole time to stop.
  await status('Stopped').waitFor(BOOT);
  await button('Start').click();
  await status('Running').waitFor(BOOT);
  await kept();
}

/** The configuration and the owner's file are still there. */
async function kept() {
  await link('Settings').click();
  await heading('Chat channel').waitFor();
  assert.ok(await page.getByRole('radio', { name: /^Telegram/ }).isChecked(), 'the channel must be kept');
  const { channels } = JSON.parse(file('config/openclaw.json'));
  assert.equal(channels.telegram.botToken, TOKEN);
  assert.equal(file('workspace/note.txt'), 'mine\n');
}

async function remove() {
  await removeInstance(NAME, BOOT);
  await page.getByText('Create your first instance').waitFor();
}

await walk([enter, create, dashboard, doctor, shell, power, remove]);
