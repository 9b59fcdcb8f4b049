// Workers: their details, draining them, and messages without any worker.
import assert from 'node:assert/strict';
import { button, dialog, heading, link, look, page, status, toast } from '../walk.mjs';
import { ask, counts, fact, hasFocus, open, region, says } from './shared.mjs';

const NONE = 'No worker is available for this job. It starts as soon as one is.';

const card = (id) => page.locator('section').filter({ has: page.getByRole('heading', { name: id, exact: true }) });

async function facts(worker) {
  const one = card(worker.id);
  await one.getByText('Working', { exact: true }).waitFor();
  for (const queue of ['Instances', 'Image builds', 'Rollouts']) await one.getByText(queue).waitFor();
  await says(fact('Host', one), `${worker.host}, process ${worker.pid}`, 'where it runs');
  await says(fact('Version', one), worker.version, 'its version');
  await says(fact('Last heartbeat', one), /^(now|\d+ seconds ago)$/, 'when it was heard of');
  await one.getByText(`0 of ${worker.concurrency}`).waitFor();
}

async function drain({ id }, { seen = false } = {}) {
  const one = card(id);
  await one.getByRole('button', { name: 'Drain' }).click();
  await dialog().getByText(`Drain ${id}?`).waitFor();
  if (seen) await look('admin-drain');
  await dialog().getByRole('button', { name: 'Drain' }).click();
  await toast(`${id} is draining`).waitFor();
  // A worker that ended in order is not listed any more.
  await one.waitFor({ state: 'detached' });
  await hasFocus(heading('Workers'), 'after its button has gone');
}

/** Without workers, both the user and the administrator see the reason why a job waits. */
async function nobody() {
  await link('Instances').first().click();
  await link('Front desk').click();
  await button('Stop').click();
  await page.getByText(NONE).waitFor();
  await link('Administration').click();
  await region('Instances').getByText('No worker takes jobs from this queue. Start one.').waitFor();
  await says(fact('Workers', region('Instances')), '0', 'workers');
  await look('admin-queues-without-workers');
  await fact('Waiting', region('Instances')).getByRole('link').click();
  await page.getByRole('link', { name: 'Stop', exact: true }).click();
  await page.getByText(NONE).waitFor();
  await button('Cancel').click();
  await dialog().getByRole('button', { name: 'Cancel the job' }).click();
  await heading('Stop Cancelled').waitFor();
  await link('Instances').first().click();
  await link('Front desk').click();
  await status('Running').waitFor();
}

/** The workers in the administration, until the last one has drained. */
export async function workers() {
  await open('Workers');
  const { items } = await ask('/admin/workers');
  const [one, other, ...more] = items.filter(({ alive }) => alive);
  const [lost, ...others] = items.filter(({ alive }) => !alive);
  assert.deepEqual([more, others], [[], []]);
  for (const worker of [one, other]) await facts(worker);
  await card(lost.id).getByText('Gone', { exact: true }).waitFor();
  await look('admin-workers');
  await drain(one, { seen: true });
  await counts(button('Drain'), 1, 'workers that can still be drained');
  await drain(other);
  await page.getByText('No worker is running').waitFor();
  await look('admin-no-worker');
  await nobody();
}
