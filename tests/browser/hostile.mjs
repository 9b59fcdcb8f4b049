// Signs in to the panel in Chromium, then opens hostile pages on a neighbour's and on a foreign domain.
//
//   node hostile.mjs --panel http://panel.localhost:PORT --email E-MAIL --password PASSWORD
//
// Prints the result of each attempt and the state of the session as one line of JSON. Names below localhost lead to
// this machine and count as secure.
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { launch } from './launch.mjs';

const { values: options } = parseArgs({
  options: Object.fromEntries(['panel', 'email', 'password'].map((name) => [name, { type: 'string' }])),
});
const panel = new URL(options.panel).origin;

// Attempts of the pages: all that need no consent of the panel.
const script = `
  const panel = ${JSON.stringify(panel)};
  const came = {};
  const body = JSON.stringify({ name: 'hostile' });
  const ask = async (name, path, options) => {
    try {
      const answer = await fetch(panel + path, { credentials: 'include', ...options });
      came[name] = answer.type === 'opaque' ? 'opaque' : answer.status;
    } catch { came[name] = 'blocked'; }
  };
  const json = { 'content-type': 'application/json' };
  const run = async () => {
    await ask('read', '/api/me', {});
    await ask('json', '/api/instances', { method: 'POST', headers: json, body });
    await ask('text', '/api/instances', { method: 'POST', mode: 'no-cors', headers: { 'content-type': 'text/plain' }, body });
    await ask('delete', '/api/me/totp', { method: 'DELETE', headers: json, body: '{}' });
    await ask('logout', '/api/auth/logout', { method: 'POST', mode: 'no-cors' });
    document.cookie = '__Host-clawdeploy=tossed; Path=/; Secure';
    document.cookie = '__Host-clawdeploy=tossed; Path=/; Secure; Domain=' + location.hostname.split('.').slice(1).join('.');
    document.cookie = '__Host-clawdeploy=tossed; Path=/api; Domain=' + location.hostname.split('.').slice(1).join('.');
    for (const path of ['/api/auth/logout', '/api/instances']) {
      const frame = Object.assign(document.createElement('iframe'), { name: 'f' + path });
      const form = Object.assign(document.createElement('form'), { method: 'post', action: panel + path, target: frame.name, enctype: 'text/plain' });
      form.append(Object.assign(document.createElement('input'), { name: '{"name":"hostile","x":"', value: '"}' }));
      document.body.append(frame, form);
      await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); form.submit(); });
    }
    const frame = Object.assign(document.createElement('iframe'), { src: panel + '/api/docs/' });
    document.body.append(frame);
    await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
    return came;
  };
`;
const server = createServer((_, response) => {
  response.setHeader('content-type', 'text/html');
  response.end(`<!doctype html><title>hostile</title><body><script>${script}</script>`);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const { port } = server.address();

const browser = await launch({ resolve: 'MAP *.localhost 127.0.0.1' });
const page = await (await browser.newContext()).newPage();
const me = () => page.evaluate(async () => (await fetch('/api/me')).status);

await page.goto(`${panel}/api/docs/`);
const signIn = async ({ email, password }) => {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch('/api/auth/login', { method: 'POST', headers, body: JSON.stringify({ email, password }) });
  return answer.status;
};
const said = { signIn: await page.evaluate(signIn, options), before: await me() };
for (const [name, host] of [['neighbour', `tenant.${new URL(panel).hostname}`], ['stranger', 'evil.localhost']]) {
  await page.goto(`http://${host}:${port}/`);
  said[name] = await page.evaluate('run()');
  said[name].framed = page.frames().some((frame) => frame.url().startsWith(`${panel}/api/docs`));
  await page.goto(`${panel}/api/docs/`);
  said[name].signedIn = await me();
}
console.log(JSON.stringify(said));
await browser.close();
server.close();
