// Setup of the first administrator, with the token from the API's log.
import assert from 'node:assert/strict';
import { button, field, heading, link, look, options, page } from '../walk.mjs';
import { ADMIN, mistake, other } from './both.mjs';

const token = process.env.CLAWDEPLOY_TEST_SETUP_TOKEN;

export async function setUp() {
  await page.goto(options.base);
  await page.waitForURL('**/setup');
  await heading('Set up ClawDeploy').waitFor();
  await look('setup');

  await field('One-time token').fill('f'.repeat(64));
  await field('Email').fill(ADMIN.email);
  await field('New password').fill('short');
  await button('Create the administrator').click();
  await mistake('New password', 'Must be at least 12 characters long');
  await field('New password').fill(ADMIN.password);
  await button('Create the administrator').click();
  await mistake('One-time token', 'This token is not valid. Copy it from the API’s log.');
  await look('setup-mistake');

  // The installer's link, in the open tab: the form keeps its input, and the token is removed from the address bar.
  await page.goto(`${options.base}/setup#${token}`);
  await page.waitForURL(`${options.base}/setup`);
  assert.equal(await field('One-time token').inputValue(), token);
  await button('Create the administrator').click();
  await page.getByText('Create your first instance').waitFor();
  assert.equal(new URL(page.url()).pathname, '/instances');
}

/** The setup works once; then its page leads elsewhere. */
export async function setUpAlready() {
  await page.goto(`${options.base}/setup`);
  await page.waitForURL('**/instances');
  await other.goto(`${options.base}/setup#${token}`);
  await other.getByText('This installation is already set up.').waitFor();
  assert.equal(await field('One-time token', other).count(), 0);
  await link('Go to sign-in', other).click();
  await heading('Sign in', other).waitFor();
  // With a session, the sign-in page leads elsewhere too.
  await page.goto(`${options.base}/sign-in?to=%2Fprofile`);
  await page.waitForURL('**/profile');
}
