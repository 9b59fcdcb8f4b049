// Adds ClawDeploy's plugin to those that come with OpenClaw, while its image is built. `node install.mjs PLUGIN`, as root.
//
// Only OpenClaw itself trusts these without a line in each owner's configuration. An OpenClaw without what the plugin
// needs stays as it is.

import fs from "node:fs";

const APP = "/app";
const PLUGINS = `${APP}/dist/extensions`;
const NEEDS = ["plugin-entry", "plugin-runtime", "device-bootstrap"];

function missing() {
  if (!fs.existsSync(PLUGINS)) return PLUGINS;
  const { name, exports } = JSON.parse(fs.readFileSync(`${APP}/package.json`, "utf8"));
  return NEEDS.map((part) => `./plugin-sdk/${part}`).find((part) => name !== "openclaw" || !exports?.[part]);
}

try {
  const gap = missing();
  if (gap) throw new Error(`it has no ${gap}`);
  fs.cpSync(process.argv[2], `${PLUGINS}/clawdeploy`, { recursive: true });
} catch (error) {
  console.log(`This OpenClaw does not get ClawDeploy's plugin, so links to the dashboard take seconds: ${error.message}`);
}
