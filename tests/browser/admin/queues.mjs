// Queues: what waits, statistics, and what a pause means to users.
import assert from 'node:assert/strict';
import { button, createInstance, dialog, heading, link, look, page, status, toast } from '../walk.mjs';
import { ANN, ask, counts, fact, hasFocus, open, region, rows, says } from './shared.mjs';

const OWN = 'Front desk';
const PAUSED = 'An administrator paused this queue. The job starts once the queue is resumed.';
const card = () => region('Instances');

async function figures() {
  const { items } = await ask('/admin/queues');
  const [queue] = items;
  assert.equal(queue.queue, 'lifecycle');
  await says(fact('Waiting', card()), '0', 'nothing waits');
  await says(fact('Running', card()), '0', 'nothing runs');
  await says(fact('Longest wait', card()), '–', 'so nothing is old');
  await says(fact('Workers', card()), '2', 'both workers serve it');
  await says(fact('Failed, last day', card()), String(queue.failedLastDay), 'what failed');
  assert.ok(queue.failedLastDay > 1);
  // The chart's text alternative, and the table with the same numbers by kind.
  const { succeeded, failed, cancelled } = queue.lastHour;
  const chart = card().getByRole('img', { name: /^Instances\. Finished per minute, last hour: / });
  const words = `${succeeded} done, ${failed} failed, ${cancelled} cancelled`;
  assert.equal(await chart.getAttribute('aria-label'), `Instances. Finished per minute, last hour: ${words}`);
  const table = rows('Finished in the last hour: Instances');
  const ended = await table.locator('td:nth-of-type(2)').allInnerTexts();
  assert.equal(ended.map(Number).reduce((sum, count) => sum + count, 0), succeeded + failed + cancelled);
  const { lastHour } = queue.kinds.find(({ kind }) => kind === 'provision');
  const name = `${lastHour.succeeded} done, ${lastHour.failed} failed, ${lastHour.cancelled} cancelled`;
  await table.filter({ hasText: 'Create' }).getByRole('img', { name }).waitFor();
  await region('Rollouts').getByText('No jobs finished in the last hour.').waitFor();
}

/** The numbers link to their jobs. */
async function toFailed() {
  await fact('Failed, last day', card()).getByRole('link').click();
  await heading('Jobs').waitFor();
  assert.equal(await button('Failed').getAttribute('aria-pressed'), 'true');
  await page.goBack();
  await heading('Queues').waitFor();
}

async function pause() {
  const pauseIt = card().getByRole('button', { name: 'Pause' });
  await pauseIt.click();
  await dialog().getByText('Pause "Instances"?').waitFor();
  await look('admin-pause');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  await hasFocus(pauseIt, 'after a question that was not answered');
  await page.keyboard.press('Enter');
  await dialog().getByRole('button', { name: 'Pause' }).click();
  await toast('"Instances" is paused').waitFor();
  await card().getByText('No new jobs start. Running jobs continue.').waitFor();
  await hasFocus(card().getByRole('button', { name: 'Resume' }), 'after the pause');
}

/** A user's page: the instance waits and shows why. */
async function waits() {
  await link('Instances').first().click();
  await heading('Instances').waitFor();
  await createInstance(OWN);
  await page.getByText(PAUSED).waitFor();
  await status('Creating').waitFor();
  await look('admin-paused-owner');
}

/** A second job waits, on an instance of another user; an administrator cancels it. */
async function cancel() {
  await link('Administration').click();
  await says(fact('Waiting', card()), '1', 'the new instance waits');
  await says(fact('Longest wait', card()), /^\d/, 'and for how long');
  await open('Instances', 'All instances');
  await link('Bookkeeping').click();
  await button('Stop').click();
  await toast('Bookkeeping is stopping').waitFor();
  await page.getByText(PAUSED).waitFor();

  await link('Administration').click();
  await open('Jobs');
  await button('Waiting').click();
  await counts(rows('Jobs'), 2, 'jobs that wait');
  await rows('Jobs').filter({ hasText: ANN }).getByRole('link', { name: 'Stop' }).click();
  await page.getByText(PAUSED).waitFor();
  await says(fact('Requested by'), 'eve@test.example', 'who asked');
  await button('Cancel').click();
  await dialog().getByText('Cancel "Stop"?').waitFor();
  await dialog().getByRole('button', { name: 'Cancel the job' }).click();
  await heading('Stop Cancelled').waitFor();
  await button('Drop').waitFor();
  await hasFocus(heading('Stop Cancelled'), 'after its button has gone');
}

async function resume() {
  await open('Queues');
  await card().getByRole('button', { name: 'Resume' }).click();
  await toast('"Instances" was resumed').waitFor();
  await hasFocus(card().getByRole('button', { name: 'Pause' }), 'after going on');
  await link('Instances').first().click();
  await link(OWN).click();
  await status('Running').waitFor();
}

/** The queues in the administration: one is paused and resumed. */
export async function queues() {
  await link('Administration').click();
  await heading('Queues').waitFor();
  await figures();
  await look('admin-queues');
  await toFailed();
  await pause();
  await waits();
  await cancel();
  await resume();
}
