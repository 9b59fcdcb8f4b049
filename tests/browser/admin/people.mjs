// Users with their quotas, and their instances.
import assert from 'node:assert/strict';
import { button, dialog, heading, link, look, options, page, status, toast } from '../walk.mjs';
import { ANN, BOB, change, counts, FAILED, hasFocus, keptByAddress, open, rows } from './shared.mjs';

const all = () => rows('All instances');
const search = () => page.getByLabel(/^Search by name/);

async function quotas() {
  await open('People');
  await counts(rows('People'), 5, 'people');
  const actions = button(`Actions for ${BOB}`);
  await actions.click();
  await page.getByRole('menuitem', { name: 'Limits…' }).click();
  await dialog().getByText(`Limits of ${BOB}`).waitFor();
  const most = dialog().getByLabel('Instances', { exact: true });
  await most.fill('many');
  await dialog().getByText('Enter a whole number, or leave this empty').waitFor();
  assert.ok(await dialog().getByRole('button', { name: 'Save changes' }).isDisabled());
  await look('admin-quotas');
  await most.fill('3');
  await page.keyboard.press('Enter');
  await toast(`Limits of ${BOB} saved`).waitFor();
  await hasFocus(actions, 'after a dialog that a menu has opened');
  await rows('People').filter({ hasText: BOB }).getByText('2 of 3').waitFor();
  await look('admin-users');
}

async function found() {
  await open('Instances', 'All instances');
  await counts(all(), 6, 'instances');
  await counts(all().getByText('Vulnerable', { exact: true }), 6, 'those below the oldest safe version');
  await look('admin-instances');
  await search().fill('northern');
  await counts(all(), 2, 'by a part of a name, and of an email');
  await search().fill(ANN);
  await counts(all(), 2, 'by their owner');
  await page.getByRole('combobox', { name: 'Filter by status' }).selectOption('Stopped or sleeping');
  await counts(all(), 1, 'of hers, those that are stopped');
  await all().getByText('Family').waitFor();
  await keptByAddress(all());
  await search().fill('northern');
  await page.getByText('No instance matches').waitFor();
  await button('Show all').click();
  await counts(all(), 6, 'all again');
}

/** An administrator starts and stops an instance of another user, but has no access to its inside. */
async function somebodyElses() {
  await link(FAILED).click();
  await heading(FAILED).waitFor();
  await page.getByText('This instance belongs to someone else').waitFor();
  const { pathname } = new URL(page.url());
  for (const name of ['Open Dashboard', 'Copy Gateway token']) await counts(button(name), 0, name);
  for (const name of ['Terminal', 'Logs', 'Graphs', 'Devices']) await counts(link(name), 0, name);
  assert.equal(await change('POST', `${pathname}/dashboard-link`), 404);
  assert.equal(await change('POST', `${pathname}/terminals`), 404);
  await look('admin-instance');
  await button('Stop').click();
  await status('Stopped').waitFor();
  await button('Start').click();
  await status('Running').waitFor();
  await link('Activity').click();
  await page.getByRole('button', { name: /^Stop Done/ }).first().waitFor();
  await page.goto(`${options.base}${pathname}/terminal`);
  await page.getByText('This instance belongs to someone else').waitFor();
  await counts(page.locator('[data-terminal]'), 0, 'terminals');
  await link('All instances').click();
  await heading('All instances').waitFor();
}

/** Quotas, and the instances of all users. */
export async function people() {
  await quotas();
  await found();
  await somebodyElses();
}
