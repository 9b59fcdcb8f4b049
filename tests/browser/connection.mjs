// Terminals that lose their connection, are reloaded, or are taken over; and one whose instance is stopped.
import assert from 'node:assert/strict';
import { begin, connected, enter, openShell, says, screen, sees, shown, tab } from './shell.mjs';
import {
  accessible,
  button,
  context,
  heading,
  look,
  options,
  page,
  password,
  PHONE,
  picture,
  status,
  until,
  walk,
} from './walk.mjs';

const LOST = 'Connection lost. Programs keep running. Reconnecting…';
/** Output of the counter during two interruptions, without whitespace. */
const COUNTED = Array.from({ length: 120 }, (_, index) => 1000 + index).join('');

await context.addInitScript(() => {
  const Native = WebSocket;
  const sockets = (window.sockets = []);
  window.WebSocket = class extends Native {
    constructor(...how) {
      super(...how);
      sockets.push(this);
    }
  };
});

const TICKETS = /\/terminals\/[^/]+\/ticket$/;

/** The browser knows that it is offline. Its socket does not end, and its closing handshake is not answered. */
const offline = {
  cut: () => context.setOffline(true),
  mend: () => context.setOffline(false),
};

/** The connection breaks: the socket ends, and new requests fail, but the browser does not know that it is offline. */
const broken = {
  cut: async () => {
    await page.route(TICKETS, (route) => route.abort());
    await page.evaluate("sockets.at(-1).dispatchEvent(new CloseEvent('close', { code: 1006 }))");
  },
  mend: () => page.unroute(TICKETS),
};

async function lose(way) {
  await way.cut();
  await says(LOST);
}

async function instance() {
  await begin('Workbench');
  await openShell();
}

/** No output is lost or repeated. */
async function away() {
  await enter('for i in $(seq $((500 * 2)) 1119); do printf $i; sleep 0.1; done; echo " and""over"');
  for (const [last, way] of [
    ['1010', offline],
    ['1050', broken],
  ]) {
    await sees(last);
    await lose(way);
    // The program continues while the connection is down.
    const before = await shown();
    await page.waitForTimeout(500);
    assert.equal(await shown(), before, 'the connection is cut');
    await way.mend();
    await connected();
  }
  await sees('andover');
  assert.ok((await shown()).includes(`${COUNTED}andover`), `lost, doubled or out of order: ${await shown()}`);
  assert.equal((await shown()).split('1000').length, 2, 'the first number was printed more than once');
}

async function waiting() {
  await lose(offline);
  await look('terminal-reconnecting');
  await offline.mend();
  await connected();
  await enter('echo "still $((100 + 1))"');
  await sees('still 101');
}

async function reload() {
  await page.reload();
  await connected();
  await sees(`${COUNTED}andover`);
  await sees('still 101');
  assert.equal(await tab('Terminal 1').count(), 1);
  await enter('echo "and on $((100 + 2))"');
  await sees('and on 102');
}

/** A phone takes the terminal over, with buttons for keys that its keyboard lacks; then the desktop takes it back. */
async function phone() {
  const browser = context.browser();
  const other = await browser.newContext({ viewport: PHONE, isMobile: true, hasTouch: true, locale: 'en-GB' });
  const small = await other.newPage();
  small.setDefaultTimeout(120_000);
  await small.goto(page.url());
  await small.getByLabel('Email').fill(options.email);
  await small.getByLabel('Password', { exact: true }).fill(password);
  await small.getByRole('button', { name: 'Sign in', exact: true }).tap();
  await small.getByText('Open in another window. Select one to take it over.').waitFor();
  await accessible('terminal-takeover, phone', small);
  await picture('terminal-takeover-phone', small);
  await small.getByRole('button', { name: /^Shell/ }).tap();
  await connected(small);
  await sees('and on 102', small);
  await enter('clear; sleep 1000', small);
  const keys = small.getByRole('toolbar', { name: 'Extra keys' });
  await keys.getByRole('button', { name: 'Ctrl+C' }).tap();
  await sees('^C', small);
  await enter('echo "on the phone $((100 + 3))"', small);
  await sees('on the phone 103', small);
  await keys.getByRole('button', { name: '↑' }).tap();
  await until('the last command', async () => (await shown(small)).split('$((100+3))').length === 3);
  await accessible('terminal-keys, phone', small);
  await picture('terminal-keys-phone', small);
  await keys.getByRole('button', { name: 'Ctrl+C' }).tap();

  await says('The terminal was opened in another window.');
  await look('terminal-elsewhere');
  await button('Take it back').click();
  await connected();
  await sees('on the phone 103');
  await says('The terminal was opened in another window.', small);
  await other.close();
}

/** Messages when the instance stops, and when no terminal can be opened. */
async function stopped() {
  await button('Stop').click();
  await status('Stopped').waitFor();
  await says(/instance/);
  await sees('on the phone 103');
  await look('terminal-stopped');
  await button('Close Terminal 1').click();
  await page.getByText('Start the instance to open a terminal.').waitFor();
  assert.equal(await screen().count(), 0);
  await look('terminal-not-running');
  await button('Start').last().click();
  await status('Running').waitFor();
  await heading('A shell inside the instance').waitFor();
  await button('Open a terminal').click();
  await connected();
  await until('a prompt', async () => (await shown()).includes('$'));
}

await walk([instance, away, waiting, reload, phone, stopped]);
