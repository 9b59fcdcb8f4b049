// Sign-in with an identity provider, on the provider's pages.
//
//   node oidc.mjs --base URL       eve@test.example has an account at the panel, dan@test.example does not
import assert from 'node:assert/strict';
import { button, context, heading, link, look, options, page, walk } from './walk.mjs';

/** From the button to the provider's form. */
async function over() {
  await page.goto(options.base);
  await link('Continue with Test').click();
  await page.getByPlaceholder('Enter any login').waitFor();
  assert.notEqual(new URL(page.url()).origin, new URL(options.base).origin);
}

/** Fills in the provider's form and consents. */
async function as(login) {
  await page.getByPlaceholder('Enter any login').fill(login);
  await page.getByPlaceholder('and password').fill('any');
  await button('Sign-in').click();
  await button('Continue').click();
}

const atTheDoor = (words) => page.locator('#content').getByText(words).waitFor();

async function brokenOff() {
  await page.goto(options.base);
  await link('Continue with Test').waitFor();
  await look('sign-in-provider');
  await over();
  await link('[ Cancel ]').click();
  await atTheDoor('The sign-in was cancelled at the identity provider. Nothing has changed.');
}

async function refused() {
  await over();
  await as('dan');
  await atTheDoor('There is no account here for that identity');
  await look('sign-in-refused');
}

async function signedIn() {
  // Without the provider's session, which is Dan's.
  await context.clearCookies();
  await over();
  await as('eve');
  await page.getByText('Create your first instance').waitFor();
  assert.equal(page.url(), `${options.base}/instances`);
  await page.getByRole('button', { name: 'Account of eve@test.example' }).waitFor();
  await page.reload();
  await heading('Instances').waitFor();
}

/** A used callback shows an error, and an existing session stays. */
async function again() {
  await page.goto(`${options.base}/api/auth/oidc/callback?code=x&state=y`);
  await page.waitForURL('**/instances');
  await page.getByRole('button', { name: 'Account of eve@test.example' }).click();
  await page.getByRole('menuitem', { name: 'Sign out' }).click();
  await heading('Sign in').waitFor();
  await page.goto(`${options.base}/api/auth/oidc/callback?code=x&state=y`);
  await atTheDoor('The sign-in at the identity provider failed');
}

await walk([brokenOff, refused, signedIn, again]);
