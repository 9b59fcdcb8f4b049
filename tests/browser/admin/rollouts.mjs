// Rollouts: one is cancelled in its first wave, and one runs to its end.
import { button, dialog, heading, look, page, toast } from '../walk.mjs';
import assert from 'node:assert/strict';
import { ask, change, counts, fact, open, rows, says } from './shared.mjs';

const wave = (nth) => page.locator('section').filter({ has: page.getByRole('heading', { name: new RegExp(`^Wave ${nth}:`) }) });

/** Starts a rollout of the current image. */
async function start({ seen = false } = {}) {
  await button('Update all').click();
  await dialog().getByText('Update all instances?').waitFor();
  if (seen) await look('admin-update-all');
  await page.getByRole('switch', { name: /^Build the image first/ }).click();
  await dialog().getByRole('button', { name: 'Update all' }).click();
  await toast('Rollout started').waitFor();
}

/** The queue is paused, so the first update waits and the rollout can be cancelled. */
async function stopped(all) {
  assert.equal(await change('POST', '/admin/queues/lifecycle/pause'), 200);
  await start({ seen: true });
  await heading('Update all Running').waitFor();
  await wave(1).getByText('Updating', { exact: true }).waitFor();
  await says(fact('Waiting'), String(all - 1), 'the others wait for the first');
  await wave(3).getByText('Waiting', { exact: true }).first().waitFor();
  await wave(3).getByText('Front desk').waitFor();
  await look('admin-rollout');
  await button('Cancel').click();
  await dialog().getByRole('button', { name: 'Cancel the job' }).click();
  await heading('Update all Cancelled').waitFor();
  await says(fact('Skipped'), String(all), 'those that were not touched');
  assert.equal(await change('POST', '/admin/queues/lifecycle/resume'), 200);
  await page.getByRole('link', { name: 'All rollouts' }).click();
}

async function ended(all) {
  await start();
  await heading('Update all Done').waitFor({ timeout: 120_000 });
  await says(fact('Updated'), String(all), 'those that were updated');
  await says(fact('Failed'), '0', 'those that were not');
  for (const nth of [1, 2, 3]) await wave(nth).getByText('Finished', { exact: true }).waitFor();
  const { items } = await ask('/admin/instances');
  assert.deepEqual([...new Set(items.map(({ openclawVersion }) => openclawVersion))], ['2026.9.7']);
  await page.getByRole('link', { name: 'All rollouts' }).click();
  await counts(rows('Rollouts'), 2, 'updates of everything');
  await look('admin-rollouts');
}

/** The rollouts in the administration. */
export async function rollouts() {
  await open('Rollouts');
  await page.getByText('No rollouts yet').waitFor();
  const all = (await ask('/admin/instances')).items.length;
  await stopped(all);
  await ended(all);
}
