// Measures a terminal through ClawDeploy, compared with Docker's own API and, if it runs, ttyd, in turn. Needs only
// Node, no packages.
//
//   node bench.mjs INSTANCE ROUNDS
//
// Environment: CLAWDEPLOY_URL, CLAWDEPLOY_TOKEN, CLAWDEPLOY_ORIGIN, CLAWDEPLOY_DOCKER_SOCKET, TTYD_PORT (of a ttyd
// whose command is a shell in that instance's container).
import http from 'node:http';
import { randomBytes } from 'node:crypto';

const [instance, rounds] = [process.argv[2], Number(process.argv[3])];
const { CLAWDEPLOY_URL: base, CLAWDEPLOY_TOKEN: token, CLAWDEPLOY_ORIGIN: origin } = process.env;
const socketPath = process.env.CLAWDEPLOY_DOCKER_SOCKET ?? '/var/run/docker.sock';
const container = `claw-${instance}`;

// Bulk output: few long lines, and many short lines, which are slower in the kernel's terminal.
const BULK = {
  'bulk, long lines': "head -c 100000000 /dev/zero | tr '\\0' x",
  'bulk, short lines': 'yes | head -c 10000000',
};
const KEYS = 500;
const ACK = 64 << 10;

function request(options, body) {
  return new Promise((resolve, reject) => {
    const asked = http.request(options, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        if (answer.statusCode >= 300) reject(new Error(`${options.path}: ${answer.statusCode} ${text}`));
        else resolve(text ? JSON.parse(text) : null);
      });
    });
    asked.on('error', reject);
    asked.end(body && JSON.stringify(body));
  });
}

function upgrade(options, body) {
  return new Promise((resolve, reject) => {
    const asked = http.request(options);
    asked.on('upgrade', (_, socket, head) => resolve([socket.setNoDelay(), head]));
    asked.on('response', (answer) => reject(new Error(`${options.path}: ${answer.statusCode}`)));
    asked.on('error', reject);
    asked.end(body && JSON.stringify(body));
  });
}

/** A shell through Docker's own API. */
async function raw(heard) {
  const json = { 'Content-Type': 'application/json' };
  const create = { AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true, Cmd: ['sh'] };
  const path = `/v1.41/containers/${container}/exec`;
  const { Id: id } = await request({ socketPath, path, method: 'POST', headers: json }, create);
  const headers = { ...json, Connection: 'Upgrade', Upgrade: 'tcp' };
  const start = { socketPath, path: `/v1.41/exec/${id}/start`, method: 'POST', headers };
  const [socket, head] = await upgrade(start, { Detach: false, Tty: true });
  if (head.length) heard(head);
  socket.on('data', heard);
  return { type: (text) => socket.write(text), close: () => socket.end('\x03\nexit\n') };
}

function frame(opcode, data) {
  const mask = randomBytes(4);
  const length = data.length < 126 ? Buffer.from([0x80 | data.length]) : Buffer.from([0xfe, data.length >> 8, data.length & 255]);
  const masked = Buffer.from(data).map((byte, i) => byte ^ mask[i & 3]);
  return Buffer.concat([Buffer.from([0x80 | opcode]), length, mask, masked]);
}

/** Opens a WebSocket and returns a function that sends a message. Opcode 1 is text, 2 is binary. */
async function websocket(options, heard) {
  const handshake = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': 13,
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
  };
  const [socket, head] = await upgrade({ ...options, headers: { ...handshake, ...options.headers } });
  const say = (opcode, text) => socket.write(frame(opcode, Buffer.from(text)));
  let [pieces, size] = [[head], head.length];
  const take = () => {
    let all = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces, size);
    while (all.length >= 2) {
      let [length, begin] = [all[1] & 127, 2];
      if (length === 126) [length, begin] = all.length < 4 ? [Infinity, 4] : [all.readUInt16BE(2), 4];
      else if (length === 127) [length, begin] = all.length < 10 ? [Infinity, 10] : [Number(all.readBigUInt64BE(2)), 10];
      if (all.length < begin + length) break;
      const data = all.subarray(begin, begin + length);
      const opcode = all[0] & 15;
      if (opcode === 9) socket.write(frame(10, data));
      else heard(opcode, data);
      all = all.subarray(begin + length);
    }
    [pieces, size] = [[all], all.length];
  };
  socket.on('data', (piece) => {
    pieces.push(piece);
    size += piece.length;
    // A frame has at least two bytes.
    if (size >= 2) take();
  });
  // Messages that arrived with the response are handled after the caller has the function for sending.
  process.nextTick(take);
  return say;
}

/** A shell through the API and a worker, as a browser opens it. */
async function ours(heard) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const url = new URL(base);
  const to = { host: url.hostname, port: url.port };
  const path = `/api/instances/${instance}/terminals`;
  const opened = await request({ ...to, path, method: 'POST', headers }, { cols: 80, rows: 24 });
  const protocols = `clawdeploy-term.v1, ticket.${opened.ticket}`;
  let [seen, acked] = [0, 0];
  const say = await websocket(
    { ...to, path: `/api/terminals/${opened.terminalId}/ws`, headers: { Origin: origin, 'Sec-WebSocket-Protocol': protocols } },
    (opcode, data) => {
      if (opcode !== 2) return;
      seen += data.length;
      heard(data);
      if (seen - acked >= ACK) say(1, JSON.stringify({ type: 'ack', offset: (acked = seen) }));
    },
  );
  return { type: (text) => say(2, text), close: () => say(1, JSON.stringify({ type: 'close' })) };
}

/** A shell through ttyd. Input and output messages begin with "0". */
async function ttyd(heard) {
  const say = await websocket(
    { host: '127.0.0.1', port: process.env.TTYD_PORT, path: '/ws', headers: { 'Sec-WebSocket-Protocol': 'tty' } },
    (_, data) => {
      if (data[0] === 0x30) heard(data.subarray(1));
    },
  );
  say(2, JSON.stringify({ AuthToken: '', columns: 80, rows: 24 }));
  return { type: (text) => say(2, `0${text}`), close: () => say(2, '0\x03\nexit\n') };
}

/** A terminal of any kind: types commands and waits for output. */
async function terminal(open) {
  let [bytes, tail, wake] = [0, '', null];
  const side = await open((data) => {
    bytes += data.length;
    tail = (tail + data.subarray(-256).toString('latin1')).slice(-256);
    wake?.();
  });
  const until = async (text) => {
    while (!tail.includes(text)) await new Promise((resolve) => (wake = resolve));
  };
  const run = async (command) => {
    tail = '';
    side.type(`${command}; printf 'EN%s\\n' DED\n`);
    await until('ENDED');
  };
  await run('PS1=; bind "set enable-bracketed-paste off" 2>/dev/null; stty -echo');
  return { run, until, side, bytes: () => bytes, forget: () => (tail = '') };
}

async function measure(open) {
  const results = {};
  const shell = await terminal(open);
  for (const [name, command] of Object.entries(BULK)) {
    const [before, began] = [shell.bytes(), process.hrtime.bigint()];
    await shell.run(command);
    results[`${name}, MB/s`] = (shell.bytes() - before) / (Number(process.hrtime.bigint() - began) / 1e3);
  }
  shell.side.type('stty -icanon -echo min 1; exec cat\n');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const times = [];
  for (let key = 0; key < KEYS; key++) {
    shell.forget();
    const began = process.hrtime.bigint();
    shell.side.type('k');
    await shell.until('k');
    times.push(Number(process.hrtime.bigint() - began) / 1e6);
  }
  times.sort((a, b) => a - b);
  results['echo p50, ms'] = times[Math.floor(KEYS * 0.5)];
  results['echo p99, ms'] = times[Math.floor(KEYS * 0.99)];
  shell.side.close();
  return results;
}

const sides = { docker: raw, clawdeploy: ours, ...(process.env.TTYD_PORT && { ttyd }) };
const names = Object.keys(sides);
const all = Object.fromEntries(names.map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  // The order of measurements affects the results, so it rotates.
  for (const turn of names.keys()) {
    const name = names[(round + turn) % names.length];
    process.stderr.write(`round ${round + 1} of ${rounds}: ${name}\n`);
    all[name].push(await measure(sides[name]));
  }
}
console.log(JSON.stringify(all));
process.exit(0);
