// Terminals: tabs, sizes, search, copy, paste, quick commands, and how they end.
import assert from 'node:assert/strict';
import { begin, connected, enter, panel, says, screen, sees, shown, tab, tabs } from './shell.mjs';
import { button, dialog, heading, link, look, lookInto, page, toast, until, walk } from './walk.mjs';

const clipboard = () => page.evaluate('navigator.clipboard.readText()');
const holds = (text) => page.evaluate((words) => navigator.clipboard.writeText(words), text);

async function instance() {
  await begin('Workbench');
}

/** Without a terminal: the commands that can be opened, with a description of each. */
async function start() {
  await link('Terminal').click();
  await heading('A shell inside the instance').waitFor();
  for (const [command, help] of [
    ['configure', 'Change models, channels and keys, step by step'],
    ['onboard', 'Set everything up from scratch'],
    ['doctor', 'Find problems and offer to fix them'],
    ['channels add', 'Connect another chat channel'],
  ]) {
    await page.getByRole('button', { name: new RegExp(`^openclaw ${command}`) }).getByText(help).waitFor();
  }
  await look('terminal-start');
}

async function shell() {
  await button('Open a terminal').click();
  await connected();
  await enter('ls -la /home/node');
  await sees('.openclaw');
  await enter(`printf '\\033[32mgreen\\033[0m, \\033[31mred\\033[0m, \\033[1mbold\\033[0m, ünï ✓, 漢字\\n'`);
  await sees('green, red, bold, ünï ✓, 漢字');
  await enter('echo "two and two are $((2 + 2))"');
  await sees('two and two are 4');
  await look('terminal');
}

async function several() {
  await lookInto(button('Open a terminal'), 'the menu of terminals');
  await button('Open a terminal').click();
  await page.getByRole('menuitem', { name: 'Shell' }).click();
  await connected();
  await enter('echo "six and six are $((6 + 6))"');
  await sees('six and six are 12');
  assert.equal(await tab('Terminal 2').getAttribute('aria-current'), 'true');
  await tab('Terminal 1').click();
  await sees('two and two are 4');
  assert.ok(!(await shown()).includes('sixandsix'), 'each tab must have its own screen');
  assert.equal(await tab('Terminal 2').getAttribute('aria-current'), null);
  // Another page of the instance does not end the terminals.
  await link('Overview').click();
  await link('Terminal').click();
  await sees('two and two are 4');
}

let asked = 0;
/** The size of the window as the shell sees it. */
async function size() {
  const mark = `S${(asked += 1)}`;
  await enter(`echo "${mark}:$(stty size | tr ' ' x):$(tput cols):"`);
  const answer = new RegExp(`${mark}:(\\d+)x(\\d+):(\\d+):`);
  await until('a size', async () => answer.test(await shown()));
  const [, rows, cols, tput] = answer.exec(await shown()).map(Number);
  assert.equal(cols, tput);
  return { rows, cols };
}

async function resize() {
  const before = await size();
  await page.setViewportSize({ width: 900, height: 620 });
  let after = before;
  await until('another size', async () => {
    after = await size();
    return after.cols < before.cols && after.rows < before.rows;
  });
  await page.setViewportSize({ width: 1280, height: 860 });
  await until('the old size', async () => (await size()).cols === before.cols);
  await button('Use the whole window').click();
  await until('more rows', async () => (await size()).rows > before.rows);
  await button('Back to the page').click();
  await until('as many rows as before', async () => (await size()).rows === before.rows);
}

async function find() {
  await enter('clear; for i in 1 2 3; do echo "a nee""dle, number $i"; done');
  await sees('needle, number 3');
  await page.keyboard.press('Control+Shift+F');
  const field = page.getByRole('searchbox', { name: 'Find in the terminal' });
  const told = (words) => page.getByRole('search').getByRole('status').filter({ hasText: words }).waitFor();
  await field.fill('needle');
  await told('3 of 3');
  await page.keyboard.press('Enter');
  await told('2 of 3');
  await button('Next match').click();
  await told('3 of 3');
  await look('terminal-find');
  await field.fill('haystack');
  await told('Not found');
  await field.fill('needle');
  await told('3 of 3');
  await field.press('Escape');
  await field.waitFor({ state: 'detached' });
  assert.ok(await screen().locator('textarea').evaluate((area) => area === document.activeElement), 'the terminal must keep the focus');
}

/** The match of the search is selected. */
async function copy() {
  await holds('before');
  await button('Copy the selection').click();
  await toast('Copied from the terminal').waitFor();
  assert.equal(await clipboard(), 'needle');
  await holds('before');
  await page.keyboard.press('Control+Shift+C');
  await until('a copy by the keyboard', async () => (await clipboard()) === 'needle');
  await screen().click();
  await button('Copy the selection').click();
  await toast('Select something in the terminal first').waitFor();

  // A program may write to the clipboard only if the user has allowed it.
  const write = (text) => `printf '\\033]52;c;%s\\007' "$(printf ${text} | base64)"; echo writ""ten`;
  await enter(`clear; ${write('stolen')}`);
  await sees('written');
  assert.equal(await clipboard(), 'needle');
  await button('More options for this terminal').click();
  await page.getByRole('menuitemcheckbox', { name: 'Let programs write to my clipboard' }).click();
  await page.getByRole('menu').waitFor({ state: 'detached' });
  assert.ok(await screen().locator('textarea').evaluate((area) => area === document.activeElement), 'the terminal must keep the focus');
  await enter(`clear; ${write('given')}`);
  await until('what the program writes', async () => (await clipboard()) === 'given');
}

async function paste() {
  const lines = `echo "one and $((40 + 2))"\necho "two and $((40 + 3))"\n`;
  // A shell with bracketed paste waits for Enter.
  await enter('clear');
  await holds(lines);
  await button('Paste').click();
  await sees('two and $((40 + 3))');
  assert.equal(await dialog().count(), 0);
  await page.keyboard.press('Enter');
  await sees('two and 43');
  // Other programs would run the lines at once.
  await enter('clear; sh');
  await until('the other prompt', async () => (await shown()) === '$');
  await button('Paste').click();
  await dialog().getByText('Paste and run 2 lines?').waitFor();
  await look('terminal-paste');
  await dialog().getByRole('button', { name: 'Cancel' }).click();
  await dialog().waitFor({ state: 'detached' });
  assert.ok(!(await shown()).includes('oneand'), 'nothing may be pasted without confirmation');
  await screen().locator('textarea').focus();
  await page.keyboard.press('Control+Shift+V');
  await dialog().getByRole('button', { name: 'Paste and run' }).click();
  await sees('two and 43');
  await enter('exit');
}

/** A command that succeeds, and one that fails: both can be run again. */
async function commands() {
  await button('Open a terminal').click();
  await page.getByRole('menuitem', { name: 'openclaw doctor' }).click();
  await sees('nothing is wrong');
  await says('Finished (exit code 0).');
  await look('terminal-ended');
  await button('Close openclaw doctor').click();
  assert.equal(await dialog().count(), 0, 'an ended command must close without a question');
  await button('Open a terminal').click();
  await page.getByRole('menuitem', { name: 'openclaw channels add' }).click();
  await sees('cannot channels add');
  await says('Ended with exit code 1.');
  await look('terminal-failed');
  const opened = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/terminals'));
  await button('Run again').click();
  assert.deepEqual((await opened).postDataJSON().command, 'openclaw channels add');
  await says('Ended with exit code 1.');
  await sees('cannot channels add');
  assert.equal(await tab('openclaw channels add').count(), 1, 'it takes the place of the one that failed');
  await button('Open a shell').click();
  await connected();
}

async function ends() {
  const open = tabs().getByRole('listitem');
  await enter('exit 3');
  await says('Ended with exit code 3.');
  await panel().getByRole('button', { name: 'Close', exact: true }).click();
  await until('two tabs', async () => (await open.count()) === 2);
  await tab('Terminal 2').click();
  await enter('sleep 1000');
  await button('Close Terminal 2').click();
  await dialog().getByText('Programs running in it end as well.').waitFor();
  await look('terminal-close');
  await dialog().getByRole('button', { name: 'Cancel' }).click();
  await dialog().waitFor({ state: 'detached' });
  assert.equal(await open.count(), 2);
  await button('Close Terminal 2').click();
  await dialog().getByRole('button', { name: 'End it' }).click();
  await until('one tab', async () => (await open.count()) === 1);
  await enter('exit');
  await says('Finished (exit code 0).');
  await button('Close Terminal 1').click();
  await heading('A shell inside the instance').waitFor();
}

await walk([instance, start, shell, several, resize, find, copy, paste, commands, ends]);
