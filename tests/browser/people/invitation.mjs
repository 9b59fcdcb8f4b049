// A user is invited and accepts.
import assert from 'node:assert/strict';
import { button, dialog, field, heading, link, look, options, page, toast } from '../walk.mjs';
import { ADMIN, ANN, mistake, other, row, takeLink, toPeople } from './both.mjs';

let invitation;

export async function invite() {
  await toPeople();
  await button('Invite').click();
  await dialog().getByText('You get a link to share.').waitFor();
  await field('Email').fill(ADMIN.email.toUpperCase());
  await button('Create link').click();
  await mistake('Email', 'Someone here already uses this email.');
  await field('Email').fill(ANN.email);
  await look('invite');
  await button('Create link').click();
  await dialog().getByText(`Invitation for ${ANN.email}`).waitFor();

  await button('Copy the link').click();
  await toast('Copied the link').waitFor();
  const copied = await page.evaluate('navigator.clipboard.readText()');
  await look('invitation-link');
  // The link cannot be shown again, so the dialog does not close by accident.
  await page.keyboard.press('Escape');
  await page.mouse.click(20, 400);
  invitation = await takeLink(dialog());
  assert.equal(copied, invitation);
  assert.match(invitation, new RegExp(`^${options.base}/invitation#\\w{64}$`));
  const [, token] = invitation.split('#');
  assert.ok(!(await page.content()).includes(token), 'it is shown once');
  await row(ANN).getByText('Invited').waitFor();
  await row(ANN).getByText('never').waitFor();
}

export async function accept() {
  await other.goto(invitation);
  await heading('Accept your invitation', other).waitFor();
  assert.equal(new URL(other.url()).hash, '', 'the token does not stay in the address bar');
  await look('invitation', { where: other });
  await field('New password', other).fill('too short');
  await button('Create my account', other).click();
  await mistake('New password', 'Must be at least 12 characters long', other);
  await field('New password', other).fill(ANN.password);
  await button('Create my account', other).click();
  await other.getByText('Create your first instance').waitFor();
}

/** Users see no part of the administration, even by its address. */
export async function ordinary() {
  await link('Instances', other).waitFor();
  assert.equal(await link('Administration', other).count(), 0);
  for (const path of ['/admin', '/admin/users']) {
    await other.goto(options.base + path);
    await other.waitForURL('**/instances');
  }
  await other.getByText('Create your first instance').waitFor();
}

/** Used, incomplete and invalid links show an error, also one after the other in the same tab. */
export async function links() {
  const refused = other.getByText('This link is invalid or has expired');
  for (const address of [invitation, `${invitation.slice(0, -20)}%`]) {
    await other.goto(address);
    await field('New password', other).fill(ANN.password);
    await button('Create my account', other).click();
    await refused.waitFor();
    assert.equal(await field('New password', other).count(), 0);
  }
  await look('invitation-used', { where: other });
  await other.goto(`${options.base}/invitation`);
  await other.getByText('This link is incomplete').waitFor();
  // Her session has not ended.
  await link('Go to sign-in', other).click();
  await other.waitForURL('**/instances');
}
