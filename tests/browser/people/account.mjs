// One's own account: password, sessions, tokens and activity. The administrator uses both browsers.
import assert from 'node:assert/strict';
import { button, dialog, field, heading, link, look, options, page, toast } from '../walk.mjs';
import { ADMIN, fromMenu, knock, mistake, other, signOut } from './both.mjs';

const OLD = ADMIN.password;
const atTheDoor = async () => {
  await other.waitForURL('**/sign-in?to=*');
  await other.getByText('You have been signed out').waitFor();
};
const signInThere = async () => {
  await knock(ADMIN, other);
  await other.waitForURL('**/instances');
  await link('Administration', other).waitFor();
};
const sessions = () => page.getByRole('listitem').filter({ hasText: 'Chrome on Linux' });

export async function changePassword() {
  await signOut(other);
  await signInThere();
  await fromMenu('Profile and security');
  const second = sessions().nth(1);
  await second.waitFor();

  const change = button('Change password');
  assert.ok(await change.isDisabled());
  ADMIN.password = 'four words that are new';
  await field('Current password').fill('not this one');
  await field('New password').fill(ADMIN.password);
  await change.click();
  await mistake('Current password', 'This is not your current password.');
  await field('Current password').fill(OLD);
  await field('New password').fill('short');
  await change.click();
  await mistake('New password', 'Must be at least 12 characters long');
  await look('profile-password');
  await field('New password').fill(ADMIN.password);
  await change.click();
  await toast('Your password was changed').waitFor();
  assert.equal(await field('Current password').inputValue(), '');
  // Only this session stays.
  await second.waitFor({ state: 'detached' });
  await atTheDoor();
  await knock({ ...ADMIN, password: OLD }, other);
  await other.getByText('The email or password is wrong').waitFor();
  await signInThere();
}

export async function endSession() {
  await page.reload();
  await sessions().nth(1).waitFor();
  assert.equal(await sessions().count(), 2);
  const here = sessions().filter({ hasText: 'this browser' });
  assert.equal(await here.count(), 1);
  assert.equal(await here.getByRole('button').count(), 0, 'the current session has no button');
  await look('sessions', { part: heading('Where you are signed in') });
  await button('End').click();
  await toast('The session was ended').waitFor();
  await sessions().nth(1).waitFor({ state: 'detached' });
  await atTheDoor();
}

/** The user of a token, or the status of a refusal. */
const known = async (token) => {
  const answer = await fetch(`${options.base}/api/me`, { headers: { authorization: `Bearer ${token}` } });
  return answer.ok ? (await answer.json()).email : answer.status;
};

export async function tokens() {
  await page.getByText('You have no tokens.').waitFor();
  await button('New token').click();
  const create = dialog().getByRole('button', { name: 'Create token' });
  assert.ok(await create.isDisabled(), 'a name is required');
  await field('Name').fill('x'.repeat(65));
  await create.click();
  await mistake('Name', 'Must be at most 64 characters long');
  await field('Name').fill('backup script');
  await page.getByRole('combobox', { name: 'Permissions' }).selectOption('Read only');
  await look('token-form');
  await create.click();

  await dialog().getByText('You will not see it again.').waitFor();
  const token = await dialog().locator('code').innerText();
  assert.match(token, /^claw_\w{40,}$/);
  await button('Copy token').click();
  await toast('Copied token').waitFor();
  assert.equal(await page.evaluate('navigator.clipboard.readText()'), token);
  await look('token');
  await page.keyboard.press('Escape');
  await button('Done').click();
  await dialog().waitFor({ state: 'detached' });
  assert.ok(!(await page.content()).includes(token), 'it is shown once');

  const line = page.getByRole('listitem').filter({ hasText: 'backup script' });
  await line.getByText('Read only · never used · expires in').waitFor();
  assert.equal(await known(token), ADMIN.email);
  await page.reload();
  await line.getByText(/· used .* · expires in/).waitFor();
  await look('tokens', { part: heading('API tokens') });
  await line.getByRole('button', { name: 'Revoke' }).click();
  await dialog().getByText('Anything that uses this token loses access immediately.').waitFor();
  await dialog().getByRole('button', { name: 'Revoke' }).click();
  await toast('backup script was revoked').waitFor();
  await page.getByText('You have no tokens.').waitFor();
  assert.equal(await known(token), 401);
}

/** Activities are shown as text, newest first, with their targets. */
export async function activity() {
  await link('Show activity').click();
  await heading('Activity').waitFor();
  const list = page.getByRole('list', { name: 'Your activity' });
  await list.getByText('API token revoked').waitFor();
  const done = await list.locator('li p:first-child > span:first-child').allInnerTexts();
  const lines = await list.getByRole('listitem').allInnerTexts();
  for (const said of ['Sign-in', 'Password changed', 'Browser signed out', 'Account suspended', 'Role changed', 'Quotas changed']) {
    assert.ok(done.includes(said), `${said} is not among ${done}`);
  }
  assert.deepEqual(done.filter((one) => /^\w+\.\w+$/.test(one)), [], 'codes');
  assert.ok(lines.some((line) => /^Account suspended\s+ann@test\.example/.test(line)), lines.join('\n'));
  assert.ok(lines.some((line) => /^Sign-in\s+Refused/.test(line)), lines.join('\n'));
  await look('activity-own');
}
