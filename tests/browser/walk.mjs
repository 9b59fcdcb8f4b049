// What the walks through the UI share: a browser, looks at a page, and the end.
//
// Each walk is called with --base URL [--email EMAIL] [--screenshots DIRECTORY] and more of its own; passwords and tokens are in
// the environment. It ends with 0 if everything was as it should be, and says on standard error where not.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const NAMES = ['base', 'email', 'screenshots', 'resolve'];
export const { values: options } = parseArgs({
  options: Object.fromEntries(NAMES.map((name) => [name, { type: 'string' }])),
});
export const password = process.env.CLAWDEPLOY_TEST_PASSWORD;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 60_000;
const DESK = { width: 1280, height: 860 };
export const PHONE = { width: 390, height: 844 };
if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync', '--no-proxy-server'],
    ...['--disable-background-networking', '--disable-component-update'],
    // Names below a test's domain lead to this machine, and its certificate is of its own making.
    ...(options.resolve ? [`--host-resolver-rules=${options.resolve}`] : []),
  ],
});

// What a page's own policy kept it from, and what its scripts threw, is always a mistake.
const mistakes = [];

export const context = await browser.newContext({
  viewport: DESK,
  colorScheme: 'light',
  locale: 'en-GB',
  ignoreHTTPSErrors: Boolean(options.resolve),
});
await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: options.base });
context.setDefaultTimeout(PATIENCE);
export const page = await context.newPage();
page.on('console', (line) => /Content Security Policy/.test(line.text()) && mistakes.push(line.text()));
page.on('pageerror', (error) => mistakes.push(String(error)));

/** What axe has against a page at this moment. */
async function violations(on) {
  const { violations: all } = await on.evaluate(`${axe}; axe.run({ resultTypes: ['violations'] })`);
  return all.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

/** No violation, once what moves has come to rest: colours fade, for longer on a busy machine; what stays is a violation. */
export async function accessible(name, on = page) {
  let found = await violations(on);
  for (let tries = 0; found.length > 0 && tries < 10; tries += 1) {
    await on.waitForTimeout(500);
    found = await violations(on);
  }
  assert.deepEqual(found, [], `axe on ${name}`);
}

/** A page as it is: without a violation, and with pictures of it, light, dark and on a phone. */
export async function look(name) {
  for (const [kind, size, colorScheme] of [
    ['light', DESK, 'light'],
    ['dark', DESK, 'dark'],
    ['phone', PHONE, 'light'],
  ]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.waitForTimeout(250);
    await accessible(`${name}, ${kind}`);
    const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    assert.ok(wide <= 0, `${name}, ${kind}: ${wide} pixels too wide`);
    await picture(`${name}-${kind}`);
  }
  await page.setViewportSize(DESK);
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'no-preference' });
}

export async function picture(name, on = page) {
  if (options.screenshots) await on.screenshot({ path: `${options.screenshots}/${name}.png` });
}

/** Opens a menu, looks at it, and closes it with Escape: the focus is back where it was. */
export async function lookInto(trigger, name) {
  await trigger.click();
  await page.getByRole('menu').waitFor();
  await accessible(name);
  await page.keyboard.press('Escape');
  await page.getByRole('menu').waitFor({ state: 'detached' });
  assert.ok(await trigger.evaluate((element) => element === document.activeElement), `${name}: the focus comes back`);
}

/** Waits until something holds; `seen` is what is told if it never does. */
export async function until(what, holds, seen = () => '') {
  const end = Date.now() + PATIENCE;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}\n${await seen()}`);
    await page.waitForTimeout(100);
  }
}

export const button = (name) => page.getByRole('button', { name, exact: true });
export const link = (name) => page.getByRole('link', { name, exact: true });
export const heading = (name) => page.getByRole('heading', { name, exact: true });
export const dialog = () => page.getByRole('dialog');
export const status = (word) => page.locator('#content').getByRole('status').getByText(word, { exact: true });
/** A short word about what was done. */
export const toast = (words) => page.locator('[aria-live=polite]').getByText(words).first();

/** Goes to the instances, through the door that is shut. */
export async function signIn() {
  await page.goto(`${options.base}/instances`);
  await page.getByLabel('Email').fill(options.email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in').click();
}

/** The form of a new instance, from the list, as far as its button. */
export async function createInstance(name, { token } = {}) {
  await link('New instance').first().click();
  await page.getByLabel('Name', { exact: true }).fill(name);
  if (token) {
    await page.getByRole('radio', { name: /^Telegram/ }).click();
    await page.getByLabel('Bot token').fill(token);
  }
  await button('Create instance').click();
  await heading(name).waitFor();
}

/** Types the name of an instance that is open, as its end asks for, and waits for the list, which comes when it is gone. */
export async function removeInstance(name, patience = {}) {
  await button('More actions').click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  const submit = dialog().getByRole('button', { name: 'Delete for good' });
  assert.ok(await submit.isDisabled(), 'it wants the name');
  await page.getByLabel(`Type ${name} to confirm`).fill(name);
  await submit.click();
  await page.waitForURL('**/instances', patience);
}

/** Takes the parts one after the other, and ends the process. */
export async function walk(parts) {
  try {
    for (const part of parts) {
      const begun = Date.now();
      await part().catch((error) => {
        throw new Error(`${part.name}: ${error.message}`, { cause: error });
      });
      console.error(`${part.name}: ${Date.now() - begun} ms`);
    }
    assert.deepEqual(mistakes, []);
  } catch (error) {
    await picture('failed').catch(() => {});
    console.error(error.message, '\n', mistakes, '\n', (await page.innerText('body').catch(() => '')).slice(0, 1500));
    process.exitCode = 1;
  }
  await browser.close();
}
