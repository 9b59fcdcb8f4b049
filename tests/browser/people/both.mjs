// What the parts of the walk share: a second browser, who is who, and what one does at the door.
import { button, field, heading, link, newPage, options, page, password } from '../walk.mjs';

export const ADMIN = { email: options.email, password };
export const ANN = { email: 'ann@test.example', password: 'four unrelated words here' };

/** The other browser. */
export const other = await newPage();

/** Waits for what is said beside a field that is wrong. */
export async function mistake(label, words, where = page) {
  const wrong = field(label, where).and(where.locator('[aria-invalid=true]'));
  await wrong.waitFor();
  const [said] = (await wrong.getAttribute('aria-describedby')).split(' ');
  await where.locator(`[id="${said}"]`).getByText(words).waitFor();
}

/** Fills in e-mail and password at the door, and goes on. */
export async function knock(person, where = page) {
  await field('Email', where).fill(person.email);
  await field('Password', where).fill(person.password);
  await button('Sign in', where).click();
}

/** Chooses something in the menu of one's account. */
export async function fromMenu(name, where = page) {
  await where.getByRole('button', { name: /^(Account of|账户)/ }).click();
  await where.getByRole(/^(English|简体中文|Dark|Light|System)$/.test(name) ? 'menuitemradio' : 'menuitem', { name, exact: true }).click();
}

export async function signOut(where = page) {
  await fromMenu('Sign out', where);
  await heading('Sign in', where).waitFor();
}

/** The list of people, for administrators. */
export async function toPeople() {
  await link('Administration').click();
  await link('People').click();
  await heading('People').waitFor();
}

export const row = (person) => page.getByRole('row').filter({ hasText: person.email });

/** Chooses something of what can be done about a person. */
export async function about(person, name) {
  await button(`Actions for ${person.email}`).click();
  await page.getByRole('menuitem', { name, exact: true }).click();
}

/** What a link shows that is shown once; the dialog closes, and it is nowhere any more. */
export async function takeLink(dialog) {
  const shown = await dialog.locator('code').innerText();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await dialog.waitFor({ state: 'detached' });
  return shown;
}
