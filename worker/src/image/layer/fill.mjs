// Starts OpenClaw once while its image is built, for two things that are kept: V8's compile cache, with what a start
// compiles, and the profile of the owner's browser, which ClawDeploy's plugin gives out tokens for.
//
// `node fill.mjs DIRECTORY PROFILE`, as the user of the instances, in an image whose gateway is in /app. It removes
// everything else that this leaves. It ends with 1 if there is no usable cache; its last line says why. Without a profile
// links to the dashboard take longer.

import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const APP = "/app";
const GATEWAY = "dist/index.js";
const PORT = 18789;
// A boot takes 10 s on two idle cores and took 50 s on busy ones (docs/benchmarks.md).
const BOOT_MS = 180_000;
// `openclaw dashboard` takes 7 s on an idle core and took 16 s on a busy one.
const COMMAND_MS = 60_000;
// A gateway that writes its cache ends within 5 s.
const END_MS = 60_000;
// A command that ClawDeploy runs itself. Others share most of their modules with it, `dashboard` and the gateway.
const COMMAND = ["devices", "list", "--json"];
const TOKEN = "0".repeat(64);
const OWNER_BOOTSTRAP = `http://127.0.0.1:${PORT}/clawdeploy/v1/owner-bootstrap`;
// Prints what a token for signing in gives, and makes it void.
const VOID = `
import { revokeDeviceBootstrapToken } from "openclaw/plugin-sdk/device-bootstrap";
const { record } = await revokeDeviceBootstrapToken({ token: process.argv[1] });
console.log(JSON.stringify(record.profile));
process.exit(0);`;
// V8's flags in an instance of 1.5 GiB. The cache is made without any, and must serve every size.
const FLAGS = "--max-old-space-size=672 --max-semi-space-size=8";

const [cache, profile] = process.argv.slice(2).map((name) => path.resolve(name));
const before = new Set(fs.readdirSync("/tmp"));
const scratch = fs.mkdtempSync("/tmp/fill-");
const home = path.join(scratch, "home");
const env = {
  ...process.env,
  HOME: home,
  TMPDIR: scratch,
  XDG_CACHE_HOME: path.join(home, ".cache"),
  npm_config_cache: path.join(home, ".npm"),
  OPENCLAW_NO_AUTO_UPDATE: "1",
  // Its state has keys, which must not get into the image.
  OPENCLAW_HOME: undefined,
  OPENCLAW_STATE_DIR: undefined,
  OPENCLAW_CONFIG_PATH: undefined,
  NODE_COMPILE_CACHE: cache,
  // As in the finished image.
  OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED: "1",
};

// The files of a new instance, as far as they decide which modules are loaded.
function configure() {
  const settings = {
    agents: { defaults: { workspace: path.join(home, "workspace") } },
    gateway: {
      mode: "local",
      port: PORT,
      bind: "lan",
      auth: { mode: "token", token: TOKEN },
      tailscale: { mode: "off" },
      controlUi: { allowedOrigins: [`http://127.0.0.1:${PORT}`] },
    },
    update: { checkOnStart: false },
  };
  fs.mkdirSync(path.join(home, ".openclaw"), { recursive: true, mode: 0o700 });
  fs.mkdirSync(path.join(home, "workspace"));
  fs.writeFileSync(path.join(home, ".openclaw/openclaw.json"), JSON.stringify(settings), { mode: 0o600 });
}

// Starts a program and keeps the end of its output. `ended` becomes its exit code, or why it has none.
function start(command, args, more = {}) {
  const child = spawn(command, args, { cwd: APP, env: { ...env, ...more }, stdio: ["ignore", "pipe", "pipe"] });
  const run = { child, output: "", status: undefined };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (piece) => (run.output = (run.output + piece).slice(-1_000_000)));
  }
  run.ended = new Promise((resolve) => {
    const end = (status) => resolve((run.status ??= status));
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(signal ?? code));
  });
  return run;
}

// Waits for its end and kills it after `limit`.
async function end(run, limit) {
  const timer = setTimeout(() => run.child.kill("SIGKILL"), limit);
  const status = await run.ended;
  clearTimeout(timer);
  return status;
}

async function isReady(gateway) {
  const until = Date.now() + BOOT_MS;
  while (gateway.status === undefined && Date.now() < until) {
    const asked = fetch(`http://127.0.0.1:${PORT}/startupz`, { signal: AbortSignal.timeout(2000) });
    const answer = await asked.catch(() => undefined);
    if (answer?.status === 200) return true;
    await sleep(200);
  }
  return false;
}

async function fill() {
  const gateway = start("node", [GATEWAY, "gateway", "--bind", "lan", "--port", `${PORT}`, "--allow-unconfigured"]);
  try {
    if (!(await isReady(gateway))) {
      const how = gateway.status === undefined ? "it still runs" : `it ended with ${gateway.status}`;
      console.log(gateway.output.trim().split("\n").slice(-15).join("\n"));
      throw new Error(`the gateway did not become ready (${how})`);
    }
    await command("openclaw", COMMAND).catch((error) => console.log(`${error.message}; it will start more slowly`));
    await learn().catch((error) => {
      fs.rmSync(profile, { force: true });
      console.log(`Links to the dashboard will take seconds: ${error.message}`);
    });
  } finally {
    // Node writes what it has compiled when it ends.
    gateway.child.kill("SIGTERM");
    await end(gateway, END_MS);
  }
}

// The output of a command that succeeds.
async function command(name, args) {
  const run = start(name, args);
  const status = await end(run, COMMAND_MS);
  if (status !== 0) throw new Error(`${[name, ...args].join(" ").slice(0, 40)} ended with ${status}`);
  return run.output;
}

// Keeps what `openclaw dashboard` grants, and fails unless the plugin grants the same.
async function learn() {
  const granted = async (token) => {
    const said = await command("node", ["--input-type=module", "--eval", VOID, token]);
    return said.trim().split("\n").at(-1);
  };
  const link = (await command("openclaw", ["dashboard", "--json"])).match(/bootstrapToken=([\w-]+)/);
  if (!link) throw new Error("`openclaw dashboard` prints no token to sign in with");
  const owner = await granted(link[1]);
  fs.writeFileSync(profile, owner);
  fs.chmodSync(profile, 0o644);
  const headers = { authorization: `Bearer ${TOKEN}` };
  const asked = await fetch(OWNER_BOOTSTRAP, { method: "POST", headers, signal: AbortSignal.timeout(COMMAND_MS) });
  if (asked.status !== 200) throw new Error(`the plugin answers ${asked.status}`);
  const given = await granted((await asked.json()).token);
  if (given !== owner) throw new Error(`the plugin grants ${given}, not ${owner}`);
}

// Fails unless V8 takes the cache under other flags than those it was made with.
async function check() {
  const run = start("node", [GATEWAY, "--version"], { NODE_DEBUG_NATIVE: "COMPILE_CACHE", NODE_OPTIONS: FLAGS });
  const status = await end(run, COMMAND_MS);
  const count = (words) => run.output.split(words).length - 1;
  const [taken, refused] = [count("was accepted"), count("was rejected")];
  if (status !== 0 || taken === 0 || refused > 0) {
    throw new Error(`V8 does not take it (${taken} modules taken, ${refused} refused, exit code ${status})`);
  }
}

function publish() {
  let [files, bytes] = [0, 0];
  for (const entry of fs.readdirSync(cache, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    // Node makes them readable for their owner only.
    fs.chmodSync(file, 0o644);
    files += 1;
    bytes += fs.statSync(file).size;
  }
  console.log(`The compile cache has ${files} modules, ${Math.round(bytes / 1e6)} MB`);
}

try {
  fs.mkdirSync(cache, { recursive: true });
  configure();
  await fill();
  await check();
  publish();
} catch (error) {
  console.log(`There is no compile cache: ${error.message}`);
  process.exitCode = 1;
} finally {
  for (const name of fs.readdirSync("/tmp")) {
    if (!before.has(name)) fs.rmSync(path.join("/tmp", name), { recursive: true, force: true });
  }
}
