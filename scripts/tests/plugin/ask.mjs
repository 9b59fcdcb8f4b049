// Asks ClawDeploy's plugin for OpenClaw without OpenClaw: node ask.mjs DIRECTORY METHOD SCOPES. The directory may have a
// profile.json, and gets the plugin with a stand-in for OpenClaw's SDK. Prints the status and the body.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [directory, method, scopes] = process.argv.slice(2);
globalThis.scopes = scopes === '' ? undefined : scopes.split(',');
const sdk = {
  'plugin-entry': 'export const definePluginEntry = (entry) => entry;',
  'plugin-runtime':
    'export const getPluginRuntimeGatewayRequestScope = () => globalThis.scopes && { client: { connect: { scopes: globalThis.scopes } } };',
  'device-bootstrap':
    'export const issueDeviceBootstrapToken = async ({ profile }) => ({ token: `for ${profile.purpose}`, expiresAtMs: 5, more: 1 });',
};
const openclaw = join(directory, 'node_modules/openclaw');
mkdirSync(openclaw, { recursive: true });
writeFileSync(join(openclaw, 'package.json'), '{"type":"module","exports":{"./plugin-sdk/*":"./*.js"}}');
for (const [name, source] of Object.entries(sdk)) writeFileSync(join(openclaw, `${name}.js`), source);
const plugin = readFileSync(new URL('../../../worker/src/image/layer/plugin/index.js', import.meta.url), 'utf8');
const profile = JSON.stringify(join(directory, 'profile.json'));
writeFileSync(join(directory, 'index.mjs'), plugin.replace('"/opt/clawdeploy/owner-profile.json"', profile));

const { default: entry } = await import(join(directory, 'index.mjs'));
let route;
entry.register({ registerHttpRoute: (registered) => (route = registered) });
const response = { setHeader: () => {}, end: (body) => console.log(response.statusCode, body ?? '') };
await route.handler({ method }, response);
