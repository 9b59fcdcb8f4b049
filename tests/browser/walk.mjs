// Shared code of the walks through the UI: the browser, checks of a page, and the end.
//
// Each walk is called with --base URL [--email EMAIL] and its own arguments; passwords and tokens are in the
// environment. Screenshots are written to --screenshots DIRECTORY, if given, and those of a failure to --failures
// DIRECTORY. A walk exits with 0 if everything is as expected, and otherwise prints the reason on standard error.
// Animations are off, because a walk would wait for them; --motion no-preference turns them on.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { launch } from './launch.mjs';

const NAMES = ['base', 'email', 'screenshots', 'failures', 'motion', 'resolve'];
export const { values: options } = parseArgs({
  options: Object.fromEntries(NAMES.map((name) => [name, { type: 'string' }])),
});
export const password = process.env.CLAWDEPLOY_TEST_PASSWORD;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 120_000;
const DESK = { width: 1280, height: 860 };
export const PHONE = { width: 390, height: 844 };
const MOTION = options.motion ?? 'reduce';
for (const directory of [options.screenshots, options.failures]) if (directory) mkdirSync(directory, { recursive: true });

const browser = await launch({ resolve: options.resolve });

// Violations of a page's policy and uncaught exceptions always fail the walk.
const mistakes = [];

const pages = [];

/** A page in a new browser without a session. */
export async function newPage() {
  const own = await browser.newContext({
    viewport: DESK,
    colorScheme: 'light',
    reducedMotion: MOTION,
    locale: 'en-GB',
    ignoreHTTPSErrors: Boolean(options.resolve),
  });
  await own.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: options.base });
  own.setDefaultTimeout(PATIENCE);
  const opened = await own.newPage();
  opened.on('console', (line) => /Content Security Policy/.test(line.text()) && mistakes.push(line.text()));
  opened.on('pageerror', (error) => mistakes.push(String(error)));
  pages.push(opened);
  return opened;
}

export const page = await newPage();
export const context = page.context();

/** Evaluates in a page within a time, because Playwright sets no limit. Undefined: it took longer. */
async function evaluated(where, code, limit = PATIENCE) {
  const result = where.evaluate(code);
  // The page may be closed while it still evaluates.
  result.catch(() => {});
  const late = new AbortController();
  const waited = setTimeout(limit, undefined, { signal: late.signal }).catch(() => {});
  return Promise.race([result, waited]).finally(() => late.abort());
}

/** Violations that axe finds in the page. */
async function violations(where) {
  // Once per loaded page, because transferring the script takes longer than most checks.
  if (!(await where.evaluate('"axe" in window'))) await where.evaluate(axe);
  const found = await evaluated(where, "axe.run({ resultTypes: ['violations'] })");
  assert.ok(found, 'axe did not end');
  const { violations: all } = found;
  return all.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

/**
 * Waits until a page is drawn and its finite animations have ended. Chromium may stop drawing a page that it takes for
 * hidden.
 */
async function rested(where) {
  const drawn = async () => {
    for (let frames = 0; frames < 2; frames += 1) await new Promise((frame) => requestAnimationFrame(frame));
    const ends = (one) => one.playState === 'running' && one.effect?.getComputedTiming().endTime < 5_000;
    await Promise.allSettled(document.getAnimations().filter(ends).map((one) => one.finished));
    return true;
  };
  if (await evaluated(where, drawn, PATIENCE / 4)) return;
  await where.bringToFront();
  assert.ok(await evaluated(where, drawn), 'the page is not drawn');
}

/**
 * Checks until nothing is found, for some seconds: transitions of colours take longer on a busy machine. What remains
 * is an error.
 */
async function nothingOf(find, what) {
  let found = await find();
  for (const end = Date.now() + 5_000; found.length > 0 && Date.now() < end; found = await find()) await page.waitForTimeout(250);
  assert.deepEqual(found, [], what);
}

export const accessible = (name, where = page) => nothingOf(() => violations(where), `axe on ${name}`);

/** Number of pixels by which a page is too wide. */
const tooWide = async (where) => {
  const wide = await where.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  return wide > 0 ? [`${wide} pixels`] : [];
};

/** Checks a page, or a part of it, for violations and takes screenshots: light on a desktop and dark on a phone. */
export async function look(name, { where = page, part } = {}) {
  // Dark only on the phone: each check takes a second, and violations of dark colours do not depend on the width.
  for (const [kind, size, colorScheme] of [
    ['light', DESK, 'light'],
    ['phone', PHONE, 'dark'],
  ]) {
    await where.setViewportSize(size);
    await where.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await rested(where);
    await accessible(`${name}, ${kind}`, where);
    await nothingOf(() => tooWide(where), `${name}, ${kind}: too wide`);
    if (!options.screenshots) continue;
    if (part) await part.evaluate((element) => element.scrollIntoView({ block: 'center' }));
    // Without toasts, which would cover the page for some seconds.
    await picture(`${name}-${kind}`, where, { style: '[data-toasts] { display: none }' });
  }
  await where.setViewportSize(DESK);
  await where.emulateMedia({ colorScheme: 'light', reducedMotion: MOTION });
}

export async function picture(name, where = page, how = {}) {
  if (options.screenshots) await where.screenshot({ path: `${options.screenshots}/${name}.png`, ...how });
}

/** Opens a menu, checks it, and closes it with Escape, which must return the focus. */
export async function lookInto(trigger, name) {
  await trigger.click();
  await page.getByRole('menu').waitFor();
  await accessible(name);
  await page.keyboard.press('Escape');
  await page.getByRole('menu').waitFor({ state: 'detached' });
  assert.ok(await trigger.evaluate((element) => element === document.activeElement), `${name}: the focus comes back`);
}

/** Waits until `holds` is true; the error has the text of `seen`. */
export async function until(what, holds, seen = () => '') {
  const end = Date.now() + PATIENCE;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`timed out: ${what}\n${await seen()}`);
    await page.waitForTimeout(50);
  }
}

export const button = (name, where = page) => where.getByRole('button', { name, exact: true });
export const link = (name, where = page) => where.getByRole('link', { name, exact: true });
export const heading = (name, where = page) => where.getByRole('heading', { name, exact: true });
export const field = (name, where = page) => where.getByLabel(name, { exact: true });
export const dialog = (where = page) => where.getByRole('dialog');
export const status = (word) => page.locator('#content').getByRole('status').getByText(word, { exact: true });
/** A short message about what was done. */
export const toast = (words, where = page) => where.locator('[aria-live=polite]').getByText(words).first();

/** Signs in on the way to the instances. */
export async function signIn() {
  await page.goto(`${options.base}/instances`);
  await page.getByLabel('Email').fill(options.email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in').click();
}

/** Fills in and submits the form of a new instance, from the list. */
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

/** Deletes the open instance, with its name as confirmation, and waits for the list. */
export async function removeInstance(name, patience = {}) {
  await button('More actions').click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  const submit = dialog().getByRole('button', { name: 'Delete instance' });
  assert.ok(await submit.isDisabled(), 'the name is required');
  await page.getByLabel(`Type ${name} to confirm`).fill(name);
  await submit.click();
  await page.waitForURL('**/instances', patience);
}

/** Runs the parts one after the other, and ends the process. */
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
    const kept = options.failures ?? options.screenshots;
    for (const [nth, one] of kept ? pages.entries() : []) {
      await one.screenshot({ path: `${kept}/failed${nth ? `-${nth}` : ''}.png` }).catch(() => {});
    }
    const texts = await Promise.all(pages.map((one) => one.innerText('body').catch(() => '')));
    console.error(error.message, '\n', mistakes, ...texts.map((text) => `\n--\n${text.slice(0, 1500)}`));
    process.exitCode = 1;
  }
  await browser.close();
}
