// Instances that sleep: how one knows them, what wakes them, and when they sleep.
//
//   CLAWDEPLOY_TEST_PASSWORD=… node sleep.mjs --base URL --email EMAIL     with instances as of tests/it/ui/inside.rs
import assert from 'node:assert/strict';
import { button, context, field, heading, link, look, page, signIn, status, toast, until, walk } from './walk.mjs';

const OWL = 'Night owl';
const MOUSE = 'Dormouse';
const BIRD = 'Early bird';

const rows = page.locator('#content li');
const row = (name) => rows.filter({ has: link(name) });
const moon = (within) => within.locator('svg.lucide-moon');
const notice = page.getByText('This instance is sleeping', { exact: true });

// What browsers report as errors, in all tabs. A request that is refused until the instance is awake is not a mistake.
const errors = [];
context.on('console', (line) => {
  if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) errors.push(line.text());
});
context.on('weberror', (error) => errors.push(String(error.error())));

/** Chooses a filter and waits until exactly these instances are listed. */
async function filtered(filter, names) {
  await field('Filter by status').selectOption(filter);
  const listed = async () => (await page.locator('#content li a').allInnerTexts()).sort();
  const right = async () => JSON.stringify(await listed()) === JSON.stringify([...names].sort());
  await until(`the filter ${filter}`, right, async () => `${await listed()}`);
}

async function list() {
  await signIn();
  for (const name of [OWL, MOUSE]) {
    await row(name).getByText('Sleeping', { exact: true }).waitFor();
    assert.equal(await moon(row(name)).count(), 1, `${name} has a moon`);
    await button(`Open the dashboard of ${name}`).waitFor();
  }
  await row(BIRD).getByText('Running', { exact: true }).waitFor();
  assert.equal(await moon(row(BIRD)).count(), 0);
  await look('instances-sleeping');
  await filtered('Sleeping', [OWL, MOUSE]);
  await filtered('Running', [BIRD]);
  // What wakes by itself is not among what somebody has stopped.
  await field('Filter by status').selectOption('Stopped');
  await page.getByText('No instance matches').waitFor();
  await filtered('All statuses', [OWL, MOUSE, BIRD]);
}

/** A person ends a sleep: the instance stays stopped, and nothing wakes it any more. */
async function keptStopped() {
  await button(`Actions for ${MOUSE}`).click();
  await page.getByRole('menuitem', { name: 'Wake up' }).waitFor();
  await page.getByRole('menuitem', { name: 'Keep stopped' }).click();
  await row(MOUSE).getByText('Stopped', { exact: true }).waitFor();
  await moon(row(MOUSE)).waitFor({ state: 'detached' });
  await filtered('Stopped', [MOUSE]);
  await filtered('Sleeping', [OWL]);
  await filtered('All statuses', [OWL, MOUSE, BIRD]);
  await link(MOUSE).click();
  await status('Stopped').waitFor();
  await page.getByText('Start the instance to open its dashboard.').waitFor();
  assert.equal(await button('Open Dashboard').count(), 0, 'nothing wakes it');
  assert.equal(await notice.count(), 0);
  await page.goBack();
}

async function asleep() {
  await link(OWL).click();
  await status('Sleeping').waitFor();
  await notice.waitFor();
  assert.ok((await moon(page.locator('#content')).count()) >= 2, 'moons in the badge and in the notice');
  await page.getByText(/^It fell asleep .+ because nobody used it\. It wakes by itself when/).waitFor();
  await page.getByText(/^Its schedule wakes it tomorrow \(.+\)\.$/).waitFor();
  await page.getByText('The instance is sleeping. Opening its dashboard wakes it.').waitFor();
  await look('sleeping');
  await link('Terminal').click();
  await page.getByText('The instance is sleeping. Opening a terminal wakes it.').waitFor();
  await link('Devices').click();
  await page.getByText('The instance is sleeping. Wake it to see its devices.').waitFor();
}

/** Holds something until it is let go. */
function hold() {
  let go;
  const over = new Promise((resolve) => (go = resolve));
  return { over, go };
}

/** The click wakes the instance. The button and the new tab say so until the dashboard is there. */
async function dashboard() {
  await link('Overview').click();
  // The first request is refused because the instance has to wake, and the second one gets the link. Each is held until
  // what is shown meanwhile was seen.
  const [refused, given] = [hold(), hold()];
  const holds = [refused, given];
  await page.route('**/dashboard-link', async (route) => {
    await holds.shift()?.over;
    await route.continue();
  });
  const [tab] = await Promise.all([context.waitForEvent('page'), button('Open Dashboard').click()]);
  await button('Waking up…').waitFor();
  assert.equal(await button('Waking up…').getAttribute('aria-busy'), 'true');
  refused.go();
  await tab.getByText(`Waking up ${OWL}…`).waitFor();
  assert.equal(await tab.title(), `Waking up ${OWL}…`);
  await status('Running').waitFor();
  await notice.waitFor({ state: 'detached' });
  given.go();
  await tab.waitForURL(/bootstrapToken=/);
  await tab.close();
  await page.unroute('**/dashboard-link');
  await button('Open Dashboard').and(page.locator(':not([aria-busy=true])')).waitFor();
  await page.locator('dl > div').filter({ hasText: 'Woke up' }).getByText(/: its dashboard was opened$/).waitFor();
}

/** When it sleeps is chosen in its settings, and applies at once. */
async function minutes() {
  await link('Settings').click();
  const form = page.locator('form').filter({ has: heading('Sleep when idle') });
  const choice = form.getByRole('combobox', { name: 'Sleep when idle' });
  const save = form.getByRole('button', { name: 'Save changes' });
  await choice.waitFor();
  assert.deepEqual(await choice.locator('option').allInnerTexts(), [
    ...['Server’s default (never)', 'Never', '15 minutes', '30 minutes', '1 hour', '4 hours', '1 day'],
  ]);
  assert.equal(await choice.inputValue(), 'default');
  assert.ok(await save.isDisabled(), 'there is nothing to save');
  await choice.selectOption('Never');
  await look('settings-sleep', { part: form });
  await save.click();
  await toast('Saved').waitFor();
  await until('nothing is left to save', () => save.isDisabled());
  await page.reload();
  await choice.waitFor();
  assert.equal(await choice.inputValue(), '0');
  assert.equal(await page.getByText('Settings not applied yet').count(), 0, 'it needs no new container');
}

async function nothingWentWrong() {
  assert.deepEqual(errors, []);
}

await walk([list, keptStopped, asleep, dashboard, minutes, nothingWentWrong]);
