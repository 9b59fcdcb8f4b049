// ClawDeploy's plugin for OpenClaw: a token with which the owner's browser signs in once, as `openclaw dashboard` makes
// it. That command starts a second OpenClaw, which takes seconds of CPU; the running gateway does it in milliseconds.
//
// `POST /clawdeploy/v1/owner-bootstrap` with the gateway's token answers { token, expiresAtMs }. Whoever has the
// gateway's token is the owner anyway.

import { readFile } from "node:fs/promises";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";

// What the command grants, written when the image was built (fill.mjs). Without it this OpenClaw is too different.
const PROFILE = "/opt/clawdeploy/owner-profile.json";

async function answer(request) {
  if (request.method !== "POST") return [405];
  // Loaded when they are needed, since each start would pay for them.
  const { getPluginRuntimeGatewayRequestScope: scope } = await import("openclaw/plugin-sdk/plugin-runtime");
  // OpenClaw also lets devices in with their own tokens, and these may have fewer rights than this gives.
  if (!scope()?.client?.connect?.scopes?.includes("operator.admin")) return [403];
  const profile = await readFile(PROFILE, "utf8").catch(() => undefined);
  if (profile === undefined) return [501];
  const { issueDeviceBootstrapToken } = await import("openclaw/plugin-sdk/device-bootstrap");
  const { token, expiresAtMs } = await issueDeviceBootstrapToken({ profile: JSON.parse(profile) });
  return [200, { token, expiresAtMs }];
}

export default definePluginEntry({
  id: "clawdeploy",
  name: "ClawDeploy",
  description: "Lets the owner's browser in without starting OpenClaw's command line.",
  register(api) {
    api.registerHttpRoute({
      path: "/clawdeploy/v1/owner-bootstrap",
      match: "exact",
      auth: "gateway",
      gatewayRuntimeScopeSurface: "trusted-operator",
      async handler(request, response) {
        const [status, body] = await answer(request);
        response.statusCode = status;
        response.setHeader("Cache-Control", "no-store");
        response.setHeader("Content-Type", "application/json");
        response.end(body && JSON.stringify(body));
        return true;
      },
    });
  },
});
