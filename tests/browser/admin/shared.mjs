// Shared helpers of the administrator's walk.
import assert from 'node:assert/strict';
import { context, heading, options, page } from '../walk.mjs';

/** The other users, which `tests/it/ui/admin.rs` has created. */
export const ANN = 'ann@test.example';
export const BOB = 'bob@test.example';
/** Bob's instance, whose creation failed with the first version. */
export const FAILED = 'Customer support for the northern region, second try of March';

/** A response of the API, with the page's session. */
export async function ask(path) {
  const answer = await context.request.get(`${options.base}/api${path}`);
  assert.equal(answer.status(), 200, path);
  return answer.json();
}

/** Sends a request from the page; returns the status of the response. */
export const change = (method, path) =>
  page.evaluate(async ([m, p]) => (await fetch(`/api${p}`, { method: m })).status, [method, path]);

/** Opens a section of the administration by its tab. */
export async function open(tab, title = tab) {
  await page.getByRole('navigation', { name: 'Administration sections' }).getByRole('link', { name: tab }).click();
  await heading(title).waitFor();
}

export const region = (name) => page.getByRole('region', { name, exact: true });

/** The rows of a table with this name, without its header. */
export const rows = (name) => region(name).locator('tbody > tr');

/** The value of a term in a list of facts. */
export const fact = (name, within = page) =>
  within.locator('dt').filter({ hasText: new RegExp(`^${name}$`) }).locator('xpath=following-sibling::dd');

/** Waits until a locator has this text. */
export async function says(locator, expected, what) {
  const right = (text) => (expected instanceof RegExp ? expected.test(text) : text === expected);
  let text = '';
  for (const end = Date.now() + 120_000; Date.now() < end; await page.waitForTimeout(50)) {
    text = (await locator.innerText()).trim();
    if (right(text)) return;
  }
  assert.fail(`${what}: it says ${JSON.stringify(text)}, not ${expected}`);
}

/** Waits until a locator has this many matches. */
export async function counts(locator, count, what) {
  let found = -1;
  for (const end = Date.now() + 120_000; Date.now() < end; await page.waitForTimeout(50)) {
    found = await locator.count();
    if (found === count) return;
  }
  assert.fail(`${what}: ${found}, not ${count}`);
}

/** Waits until all rows have this text in a column, counted from 1. */
export async function column(list, nth, expected) {
  const cells = list.locator(`td:nth-of-type(${nth})`);
  let texts = [];
  for (const end = Date.now() + 120_000; Date.now() < end; await page.waitForTimeout(50)) {
    texts = await cells.allInnerTexts();
    if (texts.length > 0 && texts.every((text) => text.includes(expected))) return;
  }
  assert.fail(`rows that do not say ${expected}: ${[...new Set(texts)]}`);
}

export const focused = (locator) => locator.evaluate((element) => element === document.activeElement);

/** Waits until an element has the focus. */
export async function hasFocus(locator, what) {
  for (const end = Date.now() + 120_000; Date.now() < end; await page.waitForTimeout(50)) {
    if (await focused(locator).catch(() => false)) return;
  }
  assert.fail(`${what}: the focus is on ${await page.evaluate('document.activeElement.outerHTML.slice(0, 200)')}`);
}

/** Presses Tab until an element has the focus, which must be visible. */
export async function tabTo(locator, what) {
  for (let steps = 0; steps < 80; steps += 1) {
    await page.keyboard.press('Tab');
    if (await focused(locator)) {
      const outline = await locator.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(outline, 'none', `${what}: the focus is seen`);
      return;
    }
  }
  assert.fail(`${what} is not reached by keyboard`);
}

/** After a reload the list must be the same, because the address has its filters. */
export async function keptByAddress(list) {
  const before = await list.allInnerTexts();
  assert.ok(before.length > 0);
  await page.reload();
  await counts(list, before.length, 'rows after the page was loaded again');
}
