// The reconciler's report and the audit log.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { button, look, page, toast } from '../walk.mjs';
import { BOB, column, counts, keptByAddress, open, rows } from './shared.mjs';

/** A directory without an instance. */
const STRAY = 'strayfiles01';

/** The report names differences and what was done about them. */
export async function reconciler() {
  const stray = `${process.env.CLAWDEPLOY_TEST_DATA}/${STRAY}`;
  await open('Reconciler');
  mkdirSync(stray);
  await button('Run now').click();
  await toast(/^Every sweep has run: \d+ findings?$/).waitFor();
  const files = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: /^Files/ }) });
  const finding = files.getByRole('listitem').filter({ hasText: STRAY });
  await finding.getByText('Reported', { exact: true }).waitFor();
  await finding.getByText('This directory is not in the database.').waitFor();
  await page.getByRole('listitem').filter({ hasText: /^Ports/ }).getByText('No problems found.').waitFor();
  await look('admin-reconciler');
  await open('Recovery');
  const unknown = page.getByRole('region', { name: 'Unknown to the database' }).getByRole('listitem');
  await unknown.filter({ hasText: STRAY }).getByText('Owner unknown').waitFor();
  await look('admin-recovery');
  await open('Reconciler');
  rmSync(stray, { recursive: true, force: true });
  await button('Run now').click();
  await files.getByText('No problems found.').waitFor();
}

const entries = () => rows('Audit');

const choose = (list, option) => page.getByRole('combobox', { name: list }).selectOption(option);

/** Exports the log and returns the file's content. */
async function exported(kind) {
  await button('Export').click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: kind }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^audit-\d{4}-\d\d-\d\d\.(csv|json)$/);
  return readFileSync(await download.path(), 'utf8');
}

async function filters() {
  await page.getByRole('searchbox', { name: 'Who' }).fill('bob');
  await column(entries(), 2, BOB);
  await page.getByRole('searchbox', { name: 'What', exact: true }).fill('instance.create');
  await column(entries(), 3, 'instance.create');
  await counts(entries(), 2, 'what he has created');
  await keptByAddress(entries());
  await page.getByRole('searchbox', { name: 'Target' }).fill('nothing of this name');
  await page.getByText('Nothing matches').waitFor();
  await button('Show all').click();
  await choose('Time range', 'Last day');
  await choose('Outcome', 'Refused');
  await counts(entries(), 1, 'what was refused');
  await entries().getByText('=eve@test.example').first().waitFor();
}

/** Details of an entry. */
async function details() {
  await page.goto(`${new URL(page.url()).origin}/admin/audit?action=queue.pause`);
  await column(entries(), 3, 'queue.pause');
  await choose('Outcome', 'Done');
  const entry = entries().first();
  await entry.getByText('127.0.0.1').waitFor();
  await entry.getByText('queue lifecycle').filter({ visible: true }).first().waitFor();
  await entry.getByText('Details').click();
  await entry.getByText(/Request \w+/).waitFor();
}

async function files() {
  const csv = await exported(/^For spreadsheets/);
  const [head, line, ...rest] = csv.split('\r\n');
  assert.equal(head, '\ufeffid,at,actor,action,targetKind,targetId,outcome,clientIp,requestId,detail');
  assert.match(line, /,'=eve@test\.example,auth\.login,/, 'an actor is never a formula');
  assert.match(line, /,failure,127\.0\.0\.1,/);
  assert.deepEqual(rest, ['']);
  await toast('1 entry exported').waitFor();
  const [entry, ...others] = JSON.parse(await exported('JSON'));
  assert.deepEqual([entry.actor, entry.outcome, others.length], ['=eve@test.example', 'failure', 0]);
}

/** The audit log. */
export async function audit() {
  await open('Audit');
  await column(entries(), 4, '');
  await look('admin-audit');
  await filters();
  await files();
  await details();
}
