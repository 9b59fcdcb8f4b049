// Ann's second factor: turned on, required, lost, kept by a password reset, and turned off.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { button, dialog, field, heading, look, page, toast } from '../walk.mjs';
import { ANN, about, fromMenu, knock, mistake, other, row, signOut, takeLink, toPeople } from './both.mjs';
import { app } from './totp.mjs';

const WRONG = 'This code is wrong or has already been used. Wait for the next one.';
let phone;
let recovery;

const copied = () => other.evaluate('navigator.clipboard.readText()');
const inside = () => other.getByText('Create your first instance').waitFor();

export async function switchOn() {
  await fromMenu('Profile and security', other);
  await button('Set up', other).click();
  const code = other.getByRole('img', { name: 'QR code for your authenticator app' });
  await code.waitFor();
  const secret = await other.locator('code').innerText();
  assert.match(secret, /^[A-Z2-7]{32}$/);
  await button('Copy Key', other).click();
  await toast('Copied Key', other).waitFor();
  assert.equal(await copied(), secret);
  phone = app(secret);

  await field('Code from the app', other).fill(phone.wrong());
  await button('Turn on', other).click();
  await mistake('Code from the app', 'This code is wrong. Enter the code that the app shows now', other);
  await look('profile-second-factor', { where: other, part: code });
  const right = await phone.next();
  await field('Code from the app', other).fill(`${right.slice(0, 3)} ${right.slice(3)}`);
  await button('Turn on', other).click();
}

/** Recovery codes are shown once, can be copied or downloaded, and the dialog does not close by accident. */
export async function recoveryCodes() {
  const shown = dialog(other);
  await shown.getByText('they are shown only once').waitFor();
  recovery = await shown.getByRole('listitem').allInnerTexts();
  assert.equal(recovery.length, 10);
  assert.equal(new Set(recovery).size, 10);
  await toast('Two-factor authentication is on', other).waitFor();
  await look('recovery-codes', { where: other });
  await button('Copy Recovery codes', other).click();
  await toast('Copied Recovery codes', other).waitFor();
  assert.equal(await copied(), recovery.join('\n'));
  const [file] = await Promise.all([other.waitForEvent('download'), button('Download', other).click()]);
  assert.equal(file.suggestedFilename(), 'clawdeploy-recovery-codes.txt');
  assert.equal(await readFile(await file.path(), 'utf8'), `${recovery.join('\n')}\n`);
  await other.keyboard.press('Escape');
  await other.mouse.click(20, 400);
  await button('I have saved them', other).click();
  await shown.waitFor({ state: 'detached' });
  const html = await other.content();
  assert.ok(!recovery.some((code) => html.includes(code)), 'they are shown once');
  await button('Turn off', other).waitFor();
}

/** The sign-in requires the password, then a code that was not used yet. */
export async function askedFor() {
  await signOut(other);
  assert.equal(await other.getByText('You have been signed out').count(), 0, 'a sign-out by the user must not be announced');
  await knock(ANN, other);
  await heading('Two-factor authentication', other).waitFor();
  await look('sign-in-code', { where: other });
  await field('Code', other).fill(phone.used());
  await button('Verify', other).click();
  await mistake('Code', WRONG, other);
  await field('Code', other).fill(await phone.next());
  await button('Verify', other).click();
  await inside();
}

/** Without the phone: each recovery code works once. */
export async function lost() {
  for (const [code, good] of [
    [recovery[0].toUpperCase(), true],
    [recovery[0], false],
    [recovery[1].replaceAll('-', ' '), true],
  ]) {
    if (await other.getByRole('button', { name: /^Account of/ }).isVisible()) {
      await signOut(other);
      await knock(ANN, other);
    }
    await field('Code', other).fill(code);
    await button('Verify', other).click();
    await (good ? inside() : mistake('Code', WRONG, other));
  }
}

/** A password reset by the administrator's link keeps the app, and requires its code. */
export async function resetByLink() {
  await page.reload();
  await row(ANN).getByText('Two-factor').waitFor();
  await look('users');
  await about(ANN, 'Reset the password');
  await dialog().getByText('Also turn off two-factor authentication').waitFor();
  await look('user-reset');
  await dialog().getByRole('button', { name: 'Reset the password' }).click();
  await dialog().getByText(`New password for ${ANN.email}`).waitFor();
  const address = await takeLink(dialog());
  assert.match(address, /\/new-password#\w{64}$/);
  await row(ANN).getByText('Password reset').waitFor();
  assert.equal(await row(ANN).getByText('never').count(), 0, 'her last activity must be shown');

  await other.waitForURL('**/sign-in?to=*');
  await other.getByText('You have been signed out').waitFor();
  await other.goto(address);
  await heading('Set a new password', other).waitFor();
  ANN.password = 'four other words instead';
  await field('New password', other).fill(ANN.password);
  await button('Set the password', other).click();
  await other.getByText('Your account uses two-factor authentication.').waitFor();
  await look('new-password', { where: other });
  await field('Code', other).fill(phone.used());
  await button('Set the password', other).click();
  await mistake('Code', WRONG, other);
  await field('Code', other).fill(await phone.next());
  await button('Set the password', other).click();
  await inside();
  await toPeople();
  await row(ANN).getByText('Password reset').waitFor({ state: 'detached' });
}

export async function switchOff() {
  await fromMenu('Profile and security', other);
  await button('Turn off', other).click();
  const submit = dialog(other).getByRole('button', { name: 'Turn off' });
  assert.ok(await submit.isDisabled(), 'it wants the password');
  await field('Password', other).fill('not this one');
  await submit.click();
  await mistake('Password', 'This is not your current password.', other);
  await field('Password', other).fill(ANN.password);
  await submit.click();
  await toast('Two-factor authentication is off', other).waitFor();
  await button('Set up', other).waitFor();
  await signOut(other);
  await knock(ANN, other);
  await inside();
}
