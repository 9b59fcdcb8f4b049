// The image: builds with their logs, and the version policy.
import assert from 'node:assert/strict';
import { button, dialog, heading, link, look, page, picture, toast } from '../walk.mjs';
import { ask, counts, fact, hasFocus, open, rows, says } from './shared.mjs';

const TITLE = 'OpenClaw image';
const builds = () => rows(TITLE);
const build = (version) => builds().filter({ has: page.getByRole('link', { name: version, exact: true }) });
const log = () => page.getByRole('log', { name: 'Build log' });

const choose = (source) => page.getByRole('combobox', { name: 'Source' }).selectOption(source);

/** Invalid input is refused with a message at its field. */
async function refused() {
  await button('Build now').click();
  await choose('Release (npm)');
  const version = dialog().getByLabel('Version', { exact: true });
  await version.fill('newest');
  await page.keyboard.press('Enter');
  await dialog().getByRole('alert').getByText(/^Is not valid: /).waitFor();
  assert.equal(await version.getAttribute('aria-invalid'), 'true');
  await look('admin-build');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  await hasFocus(button('Build now'), 'after a build that was not asked for');
  await button('Build now').click();
  await counts(dialog().getByRole('alert'), 0, 'errors of the first attempt');
}

/** A new version: its log is shown during the build, with the worker that holds the job. */
async function built() {
  await choose('As set on the workers');
  await dialog().getByRole('button', { name: 'Build' }).click();
  await toast('Build requested').waitFor();
  await heading('Build image Running').waitFor();
  await log().getByText(/Step 2 of the build/).waitFor();
  assert.ok(await heading('Build image Running').isVisible(), 'the log is shown while the build runs');
  const workers = (await ask('/admin/workers')).items.map(({ id }) => id);
  const held = await fact('Held by').innerText();
  assert.ok(workers.some((id) => held.startsWith(id)), held);
  assert.match(held, /Fence 1, lease until \d\d?:\d\d:\d\d/);
  await picture('admin-building-light');
  await heading('Build image Done').waitFor();
  await log().getByText(/Step 12 of the build/).waitFor();
  await link('View build').click();
  await heading('2026.9.7 Ready').waitFor();
  await says(fact('Source'), 'Git repository', 'where it comes from');
  await says(fact('Size'), /MB$/, 'its size');
  await look('admin-image');
  await link('All builds').click();
}

/** A missing reference fails at once and changes nothing else. */
async function missing() {
  await button('Build now').click();
  await choose('Git repository');
  await page.getByLabel('Reference').fill('no-such-branch');
  await dialog().getByRole('button', { name: 'Build' }).click();
  await heading('Build image Failed').waitFor();
  await page.getByText('source_missing').waitFor();
  await open('Image', TITLE);
  await build('no-such-branch').getByText('Failed', { exact: true }).waitFor();
  await build('2026.9.7').getByText('Current', { exact: true }).waitFor();
  await counts(builds().getByText('Current', { exact: true }), 1, 'current ones');
  await counts(builds(), 4, 'builds');
}

/** Versions below the oldest safe one are shown as vulnerable. */
async function policy() {
  const oldest = page.getByLabel('Oldest safe version');
  await oldest.fill('newest');
  await button('Save changes').click();
  await page.getByRole('alert').getByText(/^Must be a comparable version/).waitFor();
  await oldest.fill('2026.9.7');
  await button('Save changes').click();
  await toast('Oldest safe version saved').waitFor();
  await look('admin-images');
}

/** Builds, one of which fails, and the version policy. */
export async function images() {
  await open('Image', TITLE);
  await build('2026.9.6').getByText('Current', { exact: true }).waitFor();
  await build('2026.9.5').getByText('Ready', { exact: true }).waitFor();
  await refused();
  await built();
  await missing();
  await policy();
}
