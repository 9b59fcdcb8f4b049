// Shared helpers of walks that use terminals.
import { button, createInstance, link, page, signIn, status, until } from './walk.mjs';

export const screen = (on = page) => on.locator('[data-terminal]');
export const panel = (on = page) => on.getByRole('region', { name: 'Terminals' });
/** Waits until the status line below the screen has this text. */
export const says = (words, on = page) => panel(on).getByRole('status').last().filter({ hasText: words }).waitFor();
export const connected = (on = page) => says('Connected', on);
export const tabs = () => page.getByRole('list', { name: 'Open terminals' });
/** The tab of a terminal. */
export const tab = (name) => tabs().getByRole('button', { name: new RegExp(`^${name}`) });

/** Text on the screen without whitespace, because long lines are wrapped. */
export async function shown(on = page) {
  return (await screen(on).innerText()).replace(/\s/g, '');
}

/** Waits until the screen has this text. The typed command is on the screen too, so it must not contain the text. */
export async function sees(text, on = page) {
  const wanted = text.replace(/\s/g, '');
  await until(`"${text}" in the terminal`, async () => (await shown(on)).includes(wanted), () => screen(on).innerText());
}

/** Types a line into the shell. */
export async function enter(line, on = page) {
  await screen(on).locator('textarea').focus();
  await on.keyboard.type(`${line}\n`, { delay: 2 });
}

/** Signs in and creates an instance that runs. */
export async function begin(name) {
  await signIn();
  await createInstance(name);
  await status('Running').waitFor();
}

/** Opens the first shell of an instance. */
export async function openShell() {
  await link('Terminal').click();
  await button('Open a terminal').click();
  await connected();
}
