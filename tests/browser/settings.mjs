// Settings of an instance: name, limits, channel, provider and environment, each with its own form.
import assert from 'node:assert/strict';
import { begin } from './shell.mjs';
import { button, context, heading, link, look, page, status, toast, walk } from './walk.mjs';

const TOKEN = '123456789:AAExampleExampleExampleExampleExample';
const KEY = 'sk-ant-example-example';
const VALUE = 'open-sesame';
/** The form with this heading. */
const part = (name) => page.locator('form').filter({ has: page.getByRole('heading', { name, exact: true }) });
const save = (name) => part(name).getByRole('button', { name: 'Save changes' });
const later = (name) => part(name).getByRole('switch', { name: /^Apply now/ }).click();
const detail = (name, value) => page.locator('dl > div').filter({ hasText: name }).getByText(value).waitFor();

// No response of the server may contain a secret that was entered.
const told = [];
context.on('response', async (response) => {
  const text = await response.text().catch(() => '');
  if ([TOKEN, KEY, VALUE].some((secret) => text.includes(secret))) told.push(response.url());
});

async function instance() {
  await begin('First');
  await link('Settings').click();
  await heading('Chat channel').waitFor();
}

/** Waits until a change is in force. Its message goes away before the next one is waited for, or that would be taken for it. */
async function applied() {
  const said = toast('Family assistant has its new settings');
  await said.waitFor();
  await said.waitFor({ state: 'detached' });
}

async function name() {
  const field = part('Name').getByLabel('Name', { exact: true });
  assert.ok(await save('Name').isDisabled(), 'there is nothing to save');
  await field.fill('x'.repeat(65));
  await save('Name').click();
  await part('Name').getByRole('alert').getByText(/64/).waitFor();
  await field.fill('Family assistant');
  await save('Name').click();
  await toast('Saved').waitFor();
  await page.getByRole('heading', { name: 'Family assistant', level: 1 }).waitFor();
}

/** A change that needs a new container can wait for the next restart; until then it is shown as pending. */
async function limits() {
  await part('Limits').getByRole('combobox', { name: 'Memory' }).selectOption('1.5 GB');
  await part('Limits').getByText('The gateway restarts. Otherwise, the change applies at the next restart or update.').waitFor();
  await later('Limits');
  await save('Limits').click();
  await toast('Saved. The change applies at the next restart.').waitFor();
  await link('Overview').click();
  await page.getByText('Settings not applied yet').waitFor();
  await page.getByText('These changes apply at the next restart: memory.').waitFor();
  await look('settings-pending');
  await button('Apply now').click();
  await toast('Saved. The change is being applied.').waitFor();
  await applied();
  await status('Running').waitFor();
  assert.equal(await page.getByText('Settings not applied yet').count(), 0);
  await detail('Limits', '1.5 GB memory');
}

/** Errors are shown as text, whether the page or the server finds them. */
async function environment() {
  await link('Settings').click();
  const form = part('Environment variables');
  await form.getByText('No variables yet.').waitFor();
  await button('Add a variable').click();
  const field = form.getByRole('textbox', { name: 'Name' });
  const value = form.getByLabel('Value', { exact: true });
  await field.fill('my-variable');
  await value.fill(VALUE);
  await form.getByText('Use capital letters, digits and _ in a name. It cannot start with a digit.').waitFor();
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  assert.ok(await save('Environment variables').isDisabled());
  await look('settings-refused');
  await field.fill('NODE_OPTIONS');
  await save('Environment variables').click();
  await form.getByRole('alert').getByText('NODE_OPTIONS is set by the platform').waitFor();
  await field.fill('MY_TOOL');
  await later('Environment variables');
  await save('Environment variables').click();
  await form.getByText('Your changes apply at the next restart.').waitFor();
  assert.equal(await value.count(), 0);
  assert.equal(await form.getByText('NODE_OPTIONS').count(), 0, 'what was wrong before is forgotten');
  await link('Overview').click();
  await button('Apply now').click();
  await applied();
  await link('Settings').click();
  await form.getByText('MY_TOOL').waitFor();
  await form.getByText('is set', { exact: true }).waitFor();
  await button('Remove MY_TOOL').click();
  await save('Environment variables').click();
  await applied();
  await form.getByText('No variables yet.').waitFor();
}

async function channel() {
  const form = part('Chat channel');
  await form.getByRole('radio', { name: /^Telegram/ }).click();
  await form.getByLabel('Bot token').fill('123');
  await save('Chat channel').click();
  await form.getByRole('alert').getByText('Must have the form 123456789:AbC..., as shown by @BotFather').waitFor();
  await form.getByLabel('Bot token').fill(TOKEN);
  await save('Chat channel').click();
  await toast('Saved. The change is being applied.').waitFor();
  await applied();
  await form.getByText('Leave empty to keep the current token.').waitFor();
  assert.equal(await form.getByLabel('Bot token').inputValue(), '');
  await link('Overview').click();
  await detail('Channel', 'Telegram');
  await link('Settings').click();
  await form.getByRole('radio', { name: /^Skip/ }).click();
  await later('Chat channel');
  await save('Chat channel').click();
  await toast('Saved. The change applies at the next restart.').waitFor();
  await link('Overview').click();
  await page.getByText(/^These changes apply at the next restart: .*channel/).waitFor();
  await link('Settings').click();
}

/** A key can be entered but is never shown again. */
async function provider() {
  const form = part('AI provider');
  await form.getByRole('combobox', { name: 'AI provider' }).selectOption('Anthropic');
  assert.ok(await save('AI provider').isDisabled(), 'a provider needs a key');
  await form.getByLabel('API key').fill(KEY);
  assert.equal(await form.getByLabel('API key').getAttribute('type'), 'password');
  await save('AI provider').click();
  await applied();
  await form.getByText('Leave empty to keep the current key.').waitFor();
  assert.equal(await form.getByLabel('API key').inputValue(), '');
  await look('settings-saved');
  await page.reload();
  await form.getByText('Leave empty to keep the current key.').waitFor();
  const content = await page.content();
  assert.ok(!content.includes(KEY) && !content.includes(TOKEN));
  await link('Overview').click();
  await detail('AI provider', 'Anthropic');
  await detail('Channel', 'none');
  assert.deepEqual(told, []);
}

await walk([instance, name, limits, environment, channel, provider]);
