// What the walks through the UI share: a browser, looks at a page, and the end.
//
// Each walk is called with --base URL [--email EMAIL] and more of its own; passwords and tokens are in the environment. Pictures
// of what it sees go to --screenshots DIRECTORY, if somebody wants to look at them, and those of a failure to --failures DIRECTORY.
// It ends with 0 if everything was as it should be, and says on standard error where not. Nothing moves, as for people who ask for
// that, because a walk would wait for it; --motion no-preference walks as most people do.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
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

// What a page's own policy kept it from, and what its scripts threw, is always a mistake.
const mistakes = [];

const pages = [];

/** A page of a browser of its own, in which nobody is signed in. */
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

/** What axe has against the page at this moment. */
async function violations(where) {
  // It stays with a page until another one is loaded: handing it over costs more than many a look.
  if (!(await where.evaluate('"axe" in window'))) await where.evaluate(axe);
  const { violations: all } = await where.evaluate("axe.run({ resultTypes: ['violations'] })");
  return all.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`);
}

/** Waits until a page has drawn itself anew, and what moves in it, and ends, has come to rest. */
const rested = (where) =>
  where.evaluate(async () => {
    for (let frames = 0; frames < 2; frames += 1) await new Promise((drawn) => requestAnimationFrame(drawn));
    const ends = (one) => one.playState === 'running' && one.effect?.getComputedTiming().endTime < 5_000;
    await Promise.allSettled(document.getAnimations().filter(ends).map((one) => one.finished));
  });

/** Asks until nothing is found any more, for some seconds: colours fade, longer on a busy machine; what stays is a mistake. */
async function nothingOf(find, what) {
  let found = await find();
  for (const end = Date.now() + 5_000; found.length > 0 && Date.now() < end; found = await find()) await page.waitForTimeout(250);
  assert.deepEqual(found, [], what);
}

export const accessible = (name, where = page) => nothingOf(() => violations(where), `axe on ${name}`);

/** By how many pixels a page is too wide. */
const tooWide = async (where) => {
  const wide = await where.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  return wide > 0 ? [`${wide} pixels`] : [];
};

/** A page as it is, or a part of it: without a violation, and with pictures of it, light on a desk and dark on a phone. */
export async function look(name, { where = page, part } = {}) {
  // The phone is dark: each look costs a second, and what a dark page has against it does not depend on its width.
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
    // What was said by the way lies over the page, on a phone over its top: it would be in each picture for some seconds.
    await picture(`${name}-${kind}`, where, { style: '[data-toasts] { display: none }' });
  }
  await where.setViewportSize(DESK);
  await where.emulateMedia({ colorScheme: 'light', reducedMotion: MOTION });
}

export async function picture(name, where = page, how = {}) {
  if (options.screenshots) await where.screenshot({ path: `${options.screenshots}/${name}.png`, ...how });
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
    await page.waitForTimeout(50);
  }
}

export const button = (name, where = page) => where.getByRole('button', { name, exact: true });
export const link = (name, where = page) => where.getByRole('link', { name, exact: true });
export const heading = (name, where = page) => where.getByRole('heading', { name, exact: true });
export const field = (name, where = page) => where.getByLabel(name, { exact: true });
export const dialog = (where = page) => where.getByRole('dialog');
export const status = (word) => page.locator('#content').getByRole('status').getByText(word, { exact: true });
/** A short word about what was done. */
export const toast = (words, where = page) => where.locator('[aria-live=polite]').getByText(words).first();

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
  const submit = dialog().getByRole('button', { name: 'Delete instance' });
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
