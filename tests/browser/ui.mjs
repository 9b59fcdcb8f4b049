// The main parts of the UI: the acceptance list of each user story is one part. axe checks every page.
import assert from 'node:assert/strict';
import {
  button,
  context,
  heading,
  look,
  lookInto,
  options,
  page,
  password,
  picture,
  removeInstance,
  status,
  until,
  walk,
} from './walk.mjs';

/** Styles that fail to load are loaded later, and the input is kept. */
async function restyled() {
  const failed = page.waitForEvent('requestfailed', (request) => request.url().endsWith('.css'));
  await page.route('**/assets/*.css', (route) => route.abort('failed'), { times: 1 });
  await page.goto(`${options.base}/sign-in`);
  await page.getByLabel('Email').fill(options.email);
  await failed;
  await until('the styles', () =>
    page.evaluate("getComputedStyle(document.querySelector('h1')).fontFamily.includes('Inter')"),
  );
  assert.equal(await page.getByLabel('Email').inputValue(), options.email);
}

async function signIn() {
  // A script that fails to load does not leave the page empty.
  await page.route('**/assets/*.js', (route) => route.abort('failed'), { times: 1 });
  await page.goto(`${options.base}/instances`);
  await page.getByLabel('Email').waitFor();
  assert.ok(page.url().endsWith('/sign-in?to=%2Finstances'), `led to ${page.url()}`);
  await look('sign-in');
  await page.getByLabel('Email').fill(options.email);
  await page.getByLabel('Password', { exact: true }).fill('wrong in every way');
  await button('Sign in').click();
  await page.getByText('The email or password is wrong').waitFor();
  await page.getByLabel('Password', { exact: true }).fill(password);
  await button('Sign in').click();
  await page.waitForURL('**/instances');
  const kept = await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie');
  assert.doesNotMatch(kept, /token|claw_|__Host/, 'scripts must not be able to read secrets');
}

/** US-007: the form, its help, its errors, and the way to a running instance. */
async function create() {
  await page.getByText('Create your first instance').waitFor();
  await look('instances-empty');
  await page.getByRole('link', { name: 'New instance' }).first().click();
  await heading('New instance').waitFor();
  assert.ok(await page.getByRole('radio', { name: /^Skip/ }).isChecked(), 'skipping is the default');
  assert.equal(await page.getByLabel('Bot token').count(), 0);
  assert.equal(await page.getByLabel('API key').count(), 0);

  await page.getByRole('radio', { name: /^Telegram/ }).click();
  await page.getByText('@BotFather').first().waitFor();
  await page.getByRole('radio', { name: /^Discord/ }).click();
  await page.getByText('Message Content Intent').waitFor();
  await page.getByRole('radio', { name: /^Telegram/ }).click();
  const provider = page.getByRole('combobox', { name: 'AI provider' });
  assert.deepEqual(await provider.locator('option').allInnerTexts(), [
    ...['Skip (configure later)', 'Anthropic', 'OpenAI', 'Google Gemini', 'OpenRouter'],
  ]);
  await provider.selectOption('Anthropic');
  assert.equal(await page.getByLabel('API key').getAttribute('type'), 'password');
  assert.equal(await page.getByLabel('Bot token').getAttribute('type'), 'password');

  await button('Create instance').click();
  await page.getByText('Enter a name.').waitFor();
  await page.getByText(/A bot token is needed for Telegram/).waitFor();
  await page.getByText(/A key is needed for Anthropic/).waitFor();
  await look('create');
  await page.getByLabel('Name', { exact: true }).fill('Family assistant');
  await page.getByLabel('Bot token').fill('123456789:AAExampleExampleExampleExampleExample');
  await page.getByLabel('API key').fill('sk-ant-example-example');
  await button('Create instance').click();

  await heading('Family assistant').waitFor();
  await page.getByRole('progressbar').waitFor();
  await page.getByRole('list', { name: 'Steps' }).waitFor();
  await picture('progress-light');
  await status('Running').waitFor();
  await page.getByText('Family assistant is running').waitFor();
}

/** US-008: address and token, only while the instance runs. */
async function access() {
  const url = page.locator('dd a[target=_blank]');
  assert.match(await url.getAttribute('href'), /^http/);
  const body = () => page.innerText('body');
  assert.doesNotMatch(await body(), /\b[0-9a-f]{64}\b/, 'the token is masked');
  await page.getByText('Use this token to log into your OpenClaw Dashboard').waitFor();
  await button('Copy Gateway token').click();
  await page.getByText('Copied Gateway token').waitFor();
  const token = await page.evaluate('navigator.clipboard.readText()');
  assert.match(token, /^[0-9a-f]{64}$/);
  await look('instance');
  await lookInto(button('More actions'), 'the actions of an instance');
  await lookInto(page.getByRole('button', { name: /^Account of/ }), 'the account menu');
  await button('Show Gateway token').click();
  assert.ok((await body()).includes(token));
  await button('Hide Gateway token').click();
  assert.ok(!(await body()).includes(token));

  const [tab] = await Promise.all([context.waitForEvent('page'), button('Open Dashboard').click()]);
  await tab.waitForURL(/bootstrapToken=/);
  await tab.close();

  await button('Stop').click();
  await status('Stopped').waitFor();
  await page.getByText('Start the instance to open its dashboard.').waitFor();
  assert.equal(await url.count(), 0);
  assert.equal(await page.getByText('Gateway token', { exact: true }).count(), 0);
  await button('Start').click();
  await status('Running').waitFor();
}

/** US-011: an update is explained before, shown during, and reported afterwards. */
async function update() {
  await button('Update').first().click();
  await page.getByRole('dialog').getByText('Update Family assistant').waitFor();
  await look('update');
  await page.getByRole('switch').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Update' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await status('Updating').waitFor();
  assert.ok(await button('Update').first().isDisabled());
  await status('Running').waitFor();
  await page.getByRole('link', { name: 'Versions' }).click();
  await button('Roll back').first().waitFor();
  await look('versions');
}

/** Every other page loads and has no axe violations. */
async function others() {
  for (const [part, loaded] of [
    ['Devices', page.getByText('198.51.100.7').or(page.getByText('This could not be loaded'))],
    ['Settings', heading('Chat channel')],
    ['Activity', page.getByRole('button', { name: /^Create Done/ })],
  ]) {
    await page.getByRole('link', { name: part, exact: true }).click();
    await page.waitForURL(`**/${part.toLowerCase()}`);
    await loaded.first().waitFor();
    await look(part.toLowerCase());
  }
  await page.goto(`${options.base}/instances`);
  await page.getByRole('link', { name: 'Family assistant' }).waitFor();
  await look('instances');
  await lookInto(button('Actions for Family assistant'), 'the actions in the list');
  await page.goto(`${options.base}/profile`);
  await heading('API tokens').waitFor();
  await look('profile');
  await page.goto(`${options.base}/no/such/page`);
  await heading('Page not found').waitFor();
}

async function remove() {
  await page.goto(`${options.base}/instances`);
  await page.getByRole('link', { name: 'Family assistant' }).click();
  await removeInstance('Family assistant');
  await page.getByText('Create your first instance').waitFor();
}

/** A deleted instance is restored. */
async function takeBack() {
  await page.getByRole('link', { name: 'Recently deleted' }).click();
  await heading('Recently deleted').waitFor();
  await page.getByText('Family assistant', { exact: true }).waitFor();
  await look('recently-deleted');
  await button('Restore').click();
  await heading('Family assistant').waitFor();
  await status('Running').waitFor();
  await page.goto(`${options.base}/instances/deleted`);
  await page.getByText('Nothing was deleted recently').waitFor();
}

await walk([restyled, signIn, create, access, update, others, remove, takeBack]);
