// Jobs: finding them, their details, and retrying or dropping dead ones.
import assert from 'node:assert/strict';
import { button, dialog, heading, link, look, options, page, toast } from '../walk.mjs';
import { ANN, ask, BOB, column, counts, fact, FAILED, hasFocus, keptByAddress, open, rows, says, tabTo } from './shared.mjs';

const PAGE = 50;
const jobs = () => rows('Jobs');
const none = () => page.getByText('No job matches');
const ids = () => jobs().locator('a').evaluateAll((links) => links.map((one) => one.href));

async function pages() {
  await counts(jobs(), PAGE, 'jobs on the first page');
  await button('Show more').click();
  await button('Show more').waitFor({ state: 'detached' });
  const found = await ids();
  assert.ok(found.length > PAGE);
  assert.equal(new Set(found).size, found.length, 'each job is there once');
}

async function filters() {
  await button('Failed').click();
  await column(jobs(), 2, 'Failed');
  await keptByAddress(jobs());
  assert.equal(await button('Failed').getAttribute('aria-pressed'), 'true');
  await button('Cancelled').click();
  await jobs().getByText('Cancelled').first().waitFor();
  await button('Failed').click();
  await column(jobs(), 2, 'Cancelled');
  await button('Cancelled').click();

  const kind = page.getByRole('combobox', { name: 'Kind of job' });
  await kind.selectOption('Build image');
  await column(jobs(), 1, 'Build image');
  await column(jobs(), 3, 'nobody');
  await keptByAddress(jobs());
  await kind.selectOption('All kinds');

  await page.getByLabel('Owner’s email').fill(BOB);
  await column(jobs(), 3, BOB);
  await page.getByLabel(/^Search errors/).fill('told to fail');
  await counts(jobs(), 1, 'jobs with this in their error');
  await keptByAddress(jobs());
  assert.equal(await page.getByLabel('Owner’s email').inputValue(), BOB);
  await look('admin-jobs-found');
  await page.getByLabel('Owner’s email').fill(ANN);
  await none().waitFor();
  await look('admin-jobs-none');
  await button('Show all').click();
  await counts(jobs(), PAGE, 'all again');
  assert.equal(await page.getByLabel('Owner’s email').inputValue(), '');
}

/** Jobs of one instance; the address and a label above the list say which. */
async function ofInstance() {
  await open('Instances', 'All instances');
  await link('Jobs of Family').click();
  await counts(jobs(), 2, 'jobs of this instance');
  await page.getByRole('button', { name: /^Instance \w{12}/ }).click();
  await counts(jobs(), PAGE, 'jobs of all of them');
}

/** Details of the failed creation. */
async function story() {
  await page.getByLabel(/^Search errors/).fill('told to fail');
  await counts(jobs(), 1, 'jobs with this in their error');
  await jobs().getByRole('link').first().click();
  await heading('Create Failed').waitFor();
  await page.getByText('gateway_exited').waitFor();
  await says(fact('Owner'), BOB, 'whose it is');
  await says(fact('Instance'), new RegExp(`^${FAILED}\\s+\\w{12}$`), 'on which instance');
  await says(fact('Attempts'), /^\d+ \(\d+ failed, 0 lost with their worker\)$/, 'attempts');
  await says(fact('Took'), /\d/, 'how long it took');
  const steps = page.locator('section').filter({ has: heading('Steps') });
  await steps.getByRole('listitem').filter({ hasText: 'Start the container' }).getByText(/^\d+(\.\d)? m?s$/).waitFor();
  await steps.getByText('(failed)').first().waitFor();
  const happened = page.locator('section').filter({ has: heading('What happened') });
  const workers = (await ask('/admin/workers')).items.map(({ id }) => id);
  const taken = await happened.getByRole('listitem').filter({ hasText: 'Taken by a worker' }).first().innerText();
  assert.ok(workers.some((id) => taken.includes(id)), `the story names the worker: ${taken}`);
  await happened.getByText('Ended', { exact: true }).waitFor();
  await look('admin-job');
}

/** With the keyboard only: from the list to the job and its retry. The image works by now. */
async function retry() {
  await page.goto(`${options.base}/admin/jobs?status=%5B%22failed%22%5D&q=exited`);
  await counts(jobs(), 1, 'jobs with this in their error');
  await tabTo(button('Running'), 'a filter');
  await tabTo(jobs().getByRole('link').first(), 'the job');
  await page.keyboard.press('Enter');
  await heading('Create Failed').waitFor();
  await tabTo(button('Retry'), 'its retry');
  await page.keyboard.press('Enter');
  await toast('Create: back in the queue').waitFor();
  await hasFocus(page.getByRole('heading', { name: /^Create/ }), 'after its button has gone');
  await heading('Create Done').waitFor();
  const { items } = await ask(`/admin/instances?q=${encodeURIComponent(FAILED)}`);
  assert.deepEqual(items.map(({ status, error }) => [status, error]), [['running', null]]);
}

/** A job that cannot be retried shows the reason, and can be dropped. */
async function drop() {
  await open('Jobs');
  await button('Failed').click();
  await column(jobs(), 2, 'Failed');
  await jobs().getByRole('link').first().click();
  await button('Retry').click();
  await toast(/ could not be retried$/).waitFor();
  await toast("The job's instance no longer exists.").waitFor();
  await hasFocus(button('Retry'), 'after a refusal');
  const address = page.url();
  await button('Drop').click();
  await dialog().getByText(/^Drop this job/).waitFor();
  await look('admin-drop');
  await dialog().getByRole('button', { name: 'Drop' }).click();
  await toast(/: dropped$/).waitFor();
  await heading('Jobs').waitFor();
  assert.ok(!(await ids()).includes(address));
  await page.goto(address);
  await page.getByText('This could not be loaded').waitFor();
  await link('All jobs').click();
}

/** The jobs in the administration. */
export async function allJobs() {
  await link('Administration').click();
  await open('Jobs');
  await pages();
  await page.reload();
  await look('admin-jobs');
  await filters();
  await ofInstance();
  await story();
  await retry();
  await drop();
}
