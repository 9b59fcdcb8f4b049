// Run in the probe's container: what can be reached from there? Exit code: 64, and 1, 2 and 4 for what is open.
const net = require("net");
const [host, neighbour, forwarded, metadata] = process.argv.slice(1);
const attempt = (target, ms) =>
  new Promise((done) => {
    const at = target.lastIndexOf(":");
    const socket = net.connect({ host: target.slice(0, at), port: Number(target.slice(at + 1)) });
    const end = (how) => {
      done(how);
      socket.destroy();
    };
    socket.on("connect", () => end("open")).on("error", () => end("refused"));
    // An answer that came while this process did not run is looked at before the time is up.
    setTimeout(() => setImmediate(() => end("silent")), ms);
  });
// The kernel limits how often it says no. Both tries together are shorter than the three seconds after which it
// says that nobody has that address.
const twice = async (target) => {
  const how = await attempt(target, 1500);
  return how === "silent" ? attempt(target, 1000) : how;
};
Promise.all([attempt(host, 2000), attempt(neighbour, 2000), twice(forwarded), attempt(metadata, 2000)]).then(
  ([here, beside, through, cloud]) =>
    process.exit(
      64 +
        (here === "open" || beside === "open" ? 1 : 0) +
        (through === "refused" ? 0 : 2) +
        (cloud === "open" ? 4 : 0),
    ),
);
