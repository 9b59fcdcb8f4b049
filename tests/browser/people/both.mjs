// Shared helpers of this walk: a second browser, the users, and the sign-in.
import { button, field, heading, link, newPage, options, page, password } from '../walk.mjs';

export const ADMIN = { email: options.email, password };
export const ANN = { email: 'ann@test.example', password: 'four unrelated words here' };

/** The other browser. */
export const other = await newPage();

/** Waits for the error message of an invalid field. */
export async function mistake(label, words, where = page) {
  const wrong = field(label, where).and(where.locator('[aria-invalid=true]'));
  await wrong.waitFor();
  const [said] = (await wrong.getAttribute('aria-describedby')).split(' ');
  await where.locator(`[id="${said}"]`).getByText(words).waitFor();
}

/** Fills in the sign-in form and submits it. */
export async function knock(person, where = page) {
  await field('Email', where).fill(person.email);
  await field('Password', where).fill(person.password);
  await button('Sign in', where).click();
}

/** Chooses an item in the account menu. */
export async function fromMenu(name, where = page) {
  await where.getByRole('button', { name: /^(Account of|账户)/ }).click();
  await where.getByRole(/^(English|简体中文|Dark|Light|System)$/.test(name) ? 'menuitemradio' : 'menuitem', { name, exact: true }).click();
}

export async function signOut(where = page) {
  await fromMenu('Sign out', where);
  await heading('Sign in', where).waitFor();
}

/** Opens the list of users in the administration. */
export async function toPeople() {
  await link('Administration').click();
  await link('People').click();
  await heading('People').waitFor();
}

export const row = (person) => page.getByRole('row').filter({ hasText: person.email });

/** Chooses an action for a user. */
export async function about(person, name) {
  await button(`Actions for ${person.email}`).click();
  await page.getByRole('menuitem', { name, exact: true }).click();
}

/** The link in a dialog, which is shown only once; closes the dialog. */
export async function takeLink(dialog) {
  const shown = await dialog.locator('code').innerText();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await dialog.waitFor({ state: 'detached' });
  return shown;
}
