// A list that is longer than the screen: only its visible part is in the page, but all of it can be reached.
//
//   CLAWDEPLOY_TEST_PASSWORD=… node many.mjs --base URL --email EMAIL     with 120 of scripts/bench-ui/instances.sql
import assert from 'node:assert/strict';
import { field, link, look, page, signIn, until, walk } from './walk.mjs';

const ALL = 120;
const rows = page.locator('li[aria-posinset]');
const nth = (place) => page.locator(`li[aria-posinset="${place}"]`);
const count = (words) => page.getByRole('status').getByText(words, { exact: true }).waitFor();

async function begin() {
  await signIn();
  await count(`${ALL} instances`);
  await link('Support bot 1', nth(1)).waitFor();
  assert.equal(await nth(1).getAttribute('aria-setsize'), String(ALL));
  assert.ok((await rows.count()) < ALL / 2, 'rows out of sight must not be in the page');
  await look('instances-many');
}

async function scroll() {
  await page.keyboard.press('End');
  await link('Family bot 120', nth(ALL)).waitFor();
  await nth(1).waitFor({ state: 'detached' });
  await page.keyboard.press('Home');
  await nth(1).waitFor();
  await nth(ALL).waitFor({ state: 'detached' });
}

/** Tab goes from row to row, beyond the rows that were in the page at first. */
async function keys() {
  const far = (await rows.count()) + 10;
  const place = () => page.evaluate('Number(document.activeElement.closest("li[aria-posinset]")?.ariaPosInSet ?? 0)');
  await link('Support bot 1', nth(1)).focus();
  let [now, before] = [1, 1];
  for (let presses = 0; now < far; presses += 1) {
    assert.ok(now >= before && presses < 6 * far, `the focus goes from ${before} to ${now}`);
    await page.keyboard.press('Tab');
    [now, before] = [await place(), now];
  }
  assert.ok(await page.evaluate('document.activeElement.checkVisibility()'));
  await page.keyboard.press('Home');
}

async function search() {
  await field('Search by name or ID').fill('garden');
  await count(`10 of ${ALL} instances`);
  await until('only gardens', async () => {
    const names = await page.locator('#content li').allInnerTexts();
    return names.length === 10 && names.every((name) => name.includes('Garden'));
  });
  await field('Search by name or ID').fill('');
  await field('Filter by status').selectOption('Running');
  await count(`78 of ${ALL} instances`);
  await nth(1).waitFor();
  assert.equal(await nth(1).getAttribute('aria-setsize'), '78');
  await field('Filter by status').selectOption('All statuses');
  await count(`${ALL} instances`);
}

await walk([begin, scroll, keys, search]);
