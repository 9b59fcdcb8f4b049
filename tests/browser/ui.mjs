// Walks through the UI in Chromium as a person does: each user story's acceptance list is one part.
//
//   node ui.mjs --base URL --email EMAIL [--screenshots DIRECTORY]      the password is in CLAWDEPLOY_TEST_PASSWORD
//
// Ends with 0 if everything was as it should be, and says on standard error where not. axe looks at every page.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values: options } = parseArgs({
  options: Object.fromEntries(['base', 'email', 'screenshots'].map((name) => [name, { type: 'string' }])),
});
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 60_000;
const DESK = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };
if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync', '--no-proxy-server'],
});
const context = await browser.newContext({ viewport: DESK, colorScheme: 'light', locale: 'en-GB' });
await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: options.base });
context.setDefaultTimeout(PATIENCE);
const page = await context.newPage();

// What the page's own policy kept it from, and what its scripts threw, is always a mistake.
const mistakes = [];
page.on('console', (line) => /Content Security Policy/.test(line.text()) && mistakes.push(line.text()));
page.on('pageerror', (error) => mistakes.push(String(error)));

/** What axe has against the page at this moment. */
async function violations() {
  const { violations: all } = await page.evaluate(`${axe}; axe.run({ resultTypes: ['violations'] })`);
  return all.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

/** A page as it is: without a violation, and with pictures of it, light, dark and on a phone. */
async function look(name) {
  for (const [kind, size, colorScheme] of [
    ['light', DESK, 'light'],
    ['dark', DESK, 'dark'],
    ['phone', PHONE, 'light'],
  ]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.waitForTimeout(250);
    // The colours of two themes fade into each other, for longer on a busy machine: what stays is a violation.
    let found = await violations();
    for (let tries = 0; found.length > 0 && tries < 10; tries += 1) {
      await page.waitForTimeout(500);
      found = await violations();
    }
    assert.deepEqual(found, [], `axe on ${name}, ${kind}`);
    const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    assert.ok(wide <= 0, `${name}, ${kind}: ${wide} pixels too wide`);
    if (options.screenshots) await page.screenshot({ path: `${options.screenshots}/${name}-${kind}.png` });
  }
  await page.setViewportSize(DESK);
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'no-preference' });
}

const button = (name) => page.getByRole('button', { name, exact: true });
const heading = (name) => page.getByRole('heading', { name, exact: true });
const status = (word) => page.locator('#content').getByRole('status').getByText(word, { exact: true });

async function signIn() {
  await page.goto(`${options.base}/instances`);
  await page.getByLabel('Email').waitFor();
  assert.ok(page.url().endsWith('/sign-in?to=%2Finstances'), `led to ${page.url()}`);
  await look('sign-in');
  await page.getByLabel('Email').fill(options.email);
  await page.getByLabel('Password', { exact: true }).fill('wrong in every way');
  await button('Sign in').click();
  await page.getByText('Email or password is wrong.').waitFor();
  await page.getByLabel('Password', { exact: true }).fill(process.env.CLAWDEPLOY_TEST_PASSWORD);
  await button('Sign in').click();
  await page.waitForURL('**/instances');
  const kept = await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie');
  assert.doesNotMatch(kept, /token|claw_|__Host/, 'nothing secret is where scripts can read it');
}

/** US-007: the form, its help, its mistakes, and the way to a running instance. */
async function create() {
  await page.getByText('Create your first instance').waitFor();
  await look('instances-empty');
  await page.getByRole('link', { name: 'New instance' }).first().click();
  await heading('New instance').waitFor();
  assert.ok(await page.getByRole('radio', { name: /^Skip/ }).isChecked(), 'skipping is the default');
  assert.equal(await page.getByLabel('Bot token').count(), 0);
  assert.equal(await page.getByLabel('API key').count(), 0);

  await page.getByRole('radio', { name: /^Telegram/ }).click();
  await page.getByText('@BotFather').first().waitFor();
  await page.getByRole('radio', { name: /^Discord/ }).click();
  await page.getByText('Message Content Intent').waitFor();
  await page.getByRole('radio', { name: /^Telegram/ }).click();
  await page.getByRole('combobox', { name: 'AI provider' }).click();
  for (const name of ['Skip (configure later)', 'Anthropic', 'OpenAI', 'Google Gemini', 'OpenRouter']) {
    await page.getByRole('option', { name, exact: true }).waitFor();
  }
  await page.getByRole('option', { name: 'Anthropic', exact: true }).click();
  assert.equal(await page.getByLabel('API key').getAttribute('type'), 'password');
  assert.equal(await page.getByLabel('Bot token').getAttribute('type'), 'password');

  await button('Create instance').click();
  await page.getByText('Give it a name.').waitFor();
  await page.getByText(/A bot token is needed for Telegram/).waitFor();
  await page.getByText(/A key is needed for Anthropic/).waitFor();
  await look('create');
  await page.getByLabel('Name', { exact: true }).fill('Family assistant');
  await page.getByLabel('Bot token').fill('123456789:AAExampleExampleExampleExampleExample');
  await page.getByLabel('API key').fill('sk-ant-example-example');
  await button('Create instance').click();

  await heading('Family assistant').waitFor();
  await page.getByRole('progressbar').waitFor();
  await page.getByRole('list', { name: 'Steps' }).waitFor();
  if (options.screenshots) await page.screenshot({ path: `${options.screenshots}/progress-light.png` });
  await status('Running').waitFor();
  await page.getByText('Family assistant is running').waitFor();
}

/** US-008: the address and the token of what runs, and of nothing else. */
async function access() {
  const url = page.locator('dd a[target=_blank]');
  assert.match(await url.getAttribute('href'), /^http/);
  const body = () => page.innerText('body');
  assert.doesNotMatch(await body(), /\b[0-9a-f]{64}\b/, 'the token is masked');
  await page.getByText('Use this token to log into your OpenClaw Dashboard').waitFor();
  await button('Copy Gateway token').click();
  await page.getByText('Copied Gateway token').waitFor();
  const token = await page.evaluate('navigator.clipboard.readText()');
  assert.match(token, /^[0-9a-f]{64}$/);
  await look('instance');
  await button('Show Gateway token').click();
  assert.ok((await body()).includes(token));
  await button('Hide Gateway token').click();
  assert.ok(!(await body()).includes(token));

  const [tab] = await Promise.all([context.waitForEvent('page'), button('Open Dashboard').click()]);
  await tab.waitForURL(/bootstrapToken=/);
  await tab.close();

  await button('Stop').click();
  await status('Stopped').waitFor();
  await page.getByText('The dashboard can be opened while the instance is running.').waitFor();
  assert.equal(await url.count(), 0);
  assert.equal(await page.getByText('Gateway token', { exact: true }).count(), 0);
  await button('Start').click();
  await status('Running').waitFor();
}

/** US-011: what an update does is said before, shown while, and told after. */
async function update() {
  await button('Update').first().click();
  await page.getByRole('dialog').getByText('Update Family assistant').waitFor();
  await look('update');
  await page.getByRole('switch').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Update' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await status('Updating').waitFor();
  assert.ok(await button('Update').first().isDisabled());
  await status('Running').waitFor();
  await page.getByRole('link', { name: 'Versions' }).click();
  await button('Roll back').first().waitFor();
  await look('versions');
}

/** Every other page is there, says what it has, and has no violation. */
async function others() {
  for (const part of ['Devices', 'Settings', 'Activity']) {
    await page.getByRole('link', { name: part, exact: true }).click();
    await page.waitForURL(`**/${part.toLowerCase()}`);
    await page.waitForTimeout(1000);
    await look(part.toLowerCase());
  }
  await page.goto(`${options.base}/instances`);
  await page.getByRole('link', { name: 'Family assistant' }).waitFor();
  await look('instances');
  await page.goto(`${options.base}/profile`);
  await heading('API tokens').waitFor();
  await look('profile');
  await page.goto(`${options.base}/no/such/page`);
  await heading('There is no such page').waitFor();
}

async function remove() {
  await page.goto(`${options.base}/instances`);
  await page.getByRole('link', { name: 'Family assistant' }).click();
  await button('More actions').click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  const submit = page.getByRole('dialog').getByRole('button', { name: 'Delete for good' });
  assert.ok(await submit.isDisabled(), 'it wants the name');
  await page.getByLabel('Type Family assistant to confirm').fill('Family assistant');
  await submit.click();
  await page.waitForURL('**/instances');
  await page.getByText('Create your first instance').waitFor();
}

try {
  for (const part of [signIn, create, access, update, others, remove]) {
    await part().catch((error) => {
      throw new Error(`${part.name}: ${error.message}`, { cause: error });
    });
  }
  assert.deepEqual(mistakes, []);
} catch (error) {
  if (options.screenshots) await page.screenshot({ path: `${options.screenshots}/failed.png` }).catch(() => {});
  console.error(error.message, '\n', mistakes, '\n', (await page.innerText('body').catch(() => '')).slice(0, 1500));
  process.exitCode = 1;
}
await browser.close();
