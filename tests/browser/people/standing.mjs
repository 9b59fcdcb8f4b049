// Actions of an administrator on a user, and what the user sees.
import assert from 'node:assert/strict';
import { button, dialog, field, heading, link, look, options, page, toast } from '../walk.mjs';
import { ANN, about, knock, mistake, other, row } from './both.mjs';

export async function suspend() {
  await about(ANN, 'Suspend');
  await dialog().getByText(`Suspend ${ANN.email}?`).waitFor();
  await dialog().getByRole('button', { name: 'Suspend' }).click();
  await toast(`${ANN.email} is suspended`).waitFor();
  await row(ANN).getByText('Suspended').waitFor();

  await other.waitForURL('**/sign-in?to=*');
  await other.getByText('You have been signed out').waitFor();
  await knock(ANN, other);
  await other.getByText('The email or password is wrong, or the account is suspended.').waitFor();
  await look('sign-in-ended', { where: other });
}

export async function reactivate() {
  await about(ANN, 'Reactivate');
  await toast(`${ANN.email} can sign in again`).waitFor();
  await row(ANN).getByText('Suspended').waitFor({ state: 'detached' });
  await knock(ANN, other);
  await other.waitForURL('**/instances');
  await other.getByText('Create your first instance').waitFor();
}

export async function roles() {
  await about(ANN, 'Make administrator');
  await dialog().getByRole('button', { name: 'Make administrator' }).click();
  await toast(`${ANN.email} is an administrator`).waitFor();
  await row(ANN).getByText('Administrator').waitFor();
  await other.reload();
  await link('Administration', other).click();
  await heading('Queues', other).waitFor();

  await about(ANN, 'Make ordinary user');
  await dialog().getByText('They keep their own instances and see nothing else.').waitFor();
  await dialog().getByRole('button', { name: 'Make ordinary user' }).click();
  await toast(`${ANN.email} is an ordinary user`).waitFor();
  // The open page is not allowed any more.
  await other.waitForURL('**/instances');
  await link('Administration', other).waitFor({ state: 'detached' });
}

const save = () => dialog().getByRole('button', { name: 'Save changes' });

export async function quotas() {
  await about(ANN, 'Limits…');
  await dialog().getByText(`Limits of ${ANN.email}`).waitFor();
  assert.ok(await save().isDisabled(), 'nothing has changed yet');
  await field('Instances').fill('many');
  await dialog().getByText('Enter a whole number, or leave this empty').waitFor();
  assert.ok(await save().isDisabled(), 'the value is not a number');
  await field('Instances').fill('3');
  await field('Total memory (MB)').fill('999999999');
  await save().click();
  await dialog().getByText('Must be from 0 to 100000000').waitFor();
  await field('Total memory (MB)').fill('8192');
  // An error disappears when its field changes.
  await dialog().getByText('Must be from 0 to 100000000').waitFor({ state: 'detached' });
  await look('user-limits');
  await save().click();
  await toast(`Limits of ${ANN.email} saved`).waitFor();
  await row(ANN).getByText('0 of 3').waitFor();
  await about(ANN, 'Limits…');
  assert.equal(await field('Instances').inputValue(), '3');
  assert.equal(await field('Total memory (MB)').inputValue(), '8192');
  await button('Cancel').click();
}

/** An error about quotas is shown at its field, which is unfolded, with the amount that is left. */
export async function beyond() {
  await about(ANN, 'Limits…');
  await field('Total memory (MB)').fill('1536');
  await save().click();
  await dialog().waitFor({ state: 'detached' });
  await link('New instance', other).first().click();
  await field('Name', other).fill('Too big');
  await button('Create instance', other).click();
  await mistake('Memory', /exceeds the account’s total limit\. This instance can have at most 1\.5 GB/, other);
  await look('create-beyond', { where: other });
  await field('Memory', other).selectOption('1.5 GB');
  await field('Memory', other).and(other.locator(':not([aria-invalid=true])')).waitFor();
  await other.goto(`${options.base}/instances`);
}

/** Administrators cannot suspend or demote themselves. */
export async function oneself() {
  await button(`Actions for ${options.email}`).click();
  await page.getByRole('menuitem', { name: 'Limits…' }).waitFor();
  for (const name of ['Suspend', 'Make ordinary user']) {
    assert.equal(await page.getByRole('menuitem', { name, exact: true }).count(), 0);
  }
  await page.keyboard.press('Escape');
  await page.getByRole('menu').waitFor({ state: 'detached' });
}
