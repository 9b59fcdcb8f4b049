// What the walks share that type into terminals.
import { button, createInstance, link, page, signIn, status, until } from './walk.mjs';

export const screen = (on = page) => on.locator('[data-terminal]');
export const panel = (on = page) => on.getByRole('region', { name: 'Terminals' });
/** Waits until the line below the screen says so. */
export const says = (words, on = page) => panel(on).getByRole('status').last().filter({ hasText: words }).waitFor();
export const connected = (on = page) => says('Connected', on);
export const tabs = () => page.getByRole('list', { name: 'Open terminals' });
/** The tab of one of them. */
export const tab = (name) => tabs().getByRole('button', { name: new RegExp(`^${name}`) });

/** What is on the screen, without spaces and ends of lines: a long line is broken where the screen ends. */
export async function shown(on = page) {
  return (await screen(on).innerText()).replace(/\s/g, '');
}

/** Waits until a text is on the screen. What is typed stands there too, so a command should not hold what it prints. */
export async function sees(text, on = page) {
  const wanted = text.replace(/\s/g, '');
  await until(`"${text}" in the terminal`, async () => (await shown(on)).includes(wanted), () => screen(on).innerText());
}

/** Types a line into the shell. */
export async function enter(line, on = page) {
  await screen(on).locator('textarea').focus();
  await on.keyboard.type(`${line}\n`, { delay: 2 });
}

/** A person with an instance that runs. */
export async function begin(name) {
  await signIn();
  await createInstance(name);
  await status('Running').waitFor();
}

/** The first shell of an instance. */
export async function openShell() {
  await link('Terminal').click();
  await button('Open a terminal').click();
  await connected();
}
