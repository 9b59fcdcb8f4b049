//! The fake OpenClaw gateway, for tests of the code around it. It listens on OpenClaw's port and answers its probes, or
//! fails in the way that `FAKE_MODE` names.
//!
//! It runs in an image that contains nothing else, so it is linked statically and uses only the standard library.
//! SIGTERM ends it by the signal's default action, as it ends OpenClaw while OpenClaw boots.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Each start appends a line to this file in the config directory.
const STARTS: &str = "/home/node/.openclaw/starts.log";
const CONFIG: &str = "/home/node/.openclaw/openclaw.json";
const ENVIRONMENT: &str = "/home/node/.openclaw/.env";
/// A test may create this file beside the configuration: with `exit` each start exits with 1, with `hog` it allocates
/// memory until it is killed, with `flood` it fills its log, with `never` it never becomes ready.
const FATE: &str = "/home/node/.openclaw/fate";
/// A test may create this file to change OpenClaw's command line: with `hang` it never ends, with `fail` it exits with
/// 1, with `mumble` it exits with 0 but prints nothing that can be parsed, with `alone` it lists no devices.
const MOOD: &str = "/home/node/.openclaw/mood";
/// Each use of the command line appends its arguments as a line to this file.
const COMMANDS: &str = "/home/node/.openclaw/commands.log";
/// A test may create this file to make the gateway speak OpenClaw's protocol on WebSockets.
const SOCKET: &str = "/home/node/.openclaw/socket";
/// Each list over it appends the asking device's id as a line to this file.
const SOCKET_LISTS: &str = "/home/node/.openclaw/socket-lists.log";
/// Present while the worker's device is paired. Removing it makes the gateway forget the device.
const SOCKET_PAIRED: &str = "/home/node/.openclaw/socket-paired";
/// The worker's request to be paired.
const SOCKET_REQUEST: &str = "5d9f4f1c-5f0e-4c3a-9a53-0f6b3c1d2e4f";
/// A test may create this file to give the gateway our plugin, which answers this, or nothing if it is `hang`.
const PLUGIN: &str = "/home/node/.openclaw/plugin";
/// Recorded output of the real `openclaw devices list` and `openclaw dashboard`.
const DEVICES: &str = include_str!("../../../worker/src/rpc/fixtures/devices.json");
const DASHBOARD: &str = include_str!("../../../worker/src/rpc/fixtures/dashboard.json");
/// The pending request in that list, and the paired device.
const WAITING: &str = "ab4fd755-e76d-49de-96cb-98c46ac66196";
const PAIRED: &str = "abb4a6afbe686908ec9263d81ff0753b05231284ea0b892a553584683f8ecda3";
const PORT: u16 = 18789;

fn main() -> ExitCode {
    // Called as the shell of a base image, during an image build.
    if std::env::args().next().is_some_and(|name| name.ends_with("bash")) {
        return shell();
    }
    // Called as OpenClaw's command, in an image that has a shell.
    if std::env::args().next().is_some_and(|name| name.ends_with("openclaw")) {
        let words: Vec<String> = std::env::args().skip(1).collect();
        return command_line("3600", &words);
    }
    // Called as a command beside the gateway, as from a terminal.
    match std::env::args().nth(1).as_deref() {
        Some("hog") => return hog(),
        Some("bomb") => bomb(),
        Some("-e") if asks_itself(std::env::args().nth(2).as_deref()) => return ask_itself(),
        Some("-e") => return probe(&std::env::args().skip(3).collect::<Vec<_>>()),
        _ => {}
    }
    let arguments: Vec<String> = std::env::args().collect();
    if let [choom, _, _, _, timeout, _, seconds, openclaw, rest @ ..] = &arguments[..]
        && (choom.as_str(), timeout.as_str(), openclaw.as_str()) == ("choom", "timeout", "openclaw")
    {
        return command_line(seconds, rest);
    }
    if let [choom, _, _, _, timeout, _, _, node, _, script] = &arguments[..]
        && (choom.as_str(), timeout.as_str(), node.as_str()) == ("choom", "timeout", "node")
        && asks_itself(Some(script))
    {
        return ask_itself();
    }
    if let Err(error) = note_start() {
        let _ = writeln!(io::stderr(), "fake gateway: cannot write {STARTS}: {error}");
        return ExitCode::from(78);
    }
    let fate = std::fs::read_to_string(FATE).unwrap_or_default();
    let fate = fate.trim();
    match fate {
        "exit" => return last_words(1),
        "hog" => {
            // A real gateway takes longer. Without the pause it would be dead before the engine watches for OOM kills.
            pause(300);
            return hog();
        }
        "flood" => drop(thread::spawn(flood)),
        _ => {}
    }
    let ready_at = match setting("FAKE_MODE").as_str() {
        _ if fate == "never" => None,
        "exit" => return last_words(1),
        "exit78" => return last_words(78),
        "migrate" => {
            migrate();
            return last_words(1);
        }
        "never" => None,
        _ => Some(Instant::now() + Duration::from_millis(setting("FAKE_DELAY_MS").parse().unwrap_or(50))),
    };
    match serve(ready_at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "fake gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether this script asks the gateway in the same container whether it has started.
fn asks_itself(script: Option<&str>) -> bool {
    script.is_some_and(|script| script.contains("/startupz"))
}

fn ask_itself() -> ExitCode {
    let asked = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).and_then(|mut stream| {
        stream.write_all(b"GET /startupz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b" 200"))
    });
    if asked.unwrap_or_default() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ignores its arguments and takes some time.
#[expect(clippy::disallowed_methods, reason = "this program is not part of the product")]
fn shell() -> ExitCode {
    let _ = writeln!(io::stdout(), "fake shell: at work");
    thread::sleep(Duration::from_millis(setting("FAKE_SHELL_MS").parse().unwrap_or(0)));
    ExitCode::SUCCESS
}

/// OpenClaw's command line, which ends after `seconds` at the latest.
#[expect(clippy::disallowed_methods, reason = "this program is not part of the product")]
fn command_line(seconds: &str, arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Ok(mut commands) = OpenOptions::new().create(true).append(true).open(COMMANDS) {
        let _ = writeln!(commands, "{}", words.join(" "));
    }
    match std::fs::read_to_string(MOOD).unwrap_or_default().trim() {
        "hang" => {
            thread::sleep(Duration::from_secs(seconds.parse().unwrap_or(1)));
            return ExitCode::from(124);
        }
        "fail" => return ExitCode::from(1),
        "mumble" => {
            let _ = writeln!(io::stdout(), "Done, more or less.");
            return ExitCode::SUCCESS;
        }
        "alone" if words == ["devices", "list", "--json"] => {
            let _ = writeln!(io::stdout(), "{{\"pending\":[],\"paired\":[]}}");
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let device =
        "{\"deviceId\":\"1e8164d7d9017d829e6a582164ddb08c8236a25770806601aa3b812fd1d15161\",\"role\":\"operator\"}";
    let said = match words[..] {
        ["dashboard", "--json"] => DASHBOARD.to_owned(),
        ["devices", "list", "--json"] => DEVICES.to_owned(),
        ["devices", "approve", WAITING, "--json"] => format!("{{\"requestId\":\"{WAITING}\",\"device\":{device}}}"),
        ["devices", "approve", SOCKET_REQUEST, "--json"] => {
            let _ = OpenOptions::new().create(true).append(true).open(SOCKET_PAIRED);
            format!("{{\"requestId\":\"{SOCKET_REQUEST}\",\"device\":{device}}}")
        }
        ["devices", "reject", WAITING, "--json"] | ["devices", "remove", PAIRED, "--json"] => "{}".to_owned(),
        ["doctor"] => {
            format!("\u{1b}[1mfake openclaw\u{1b}[0m: looked at {CONFIG}\n\u{1b}[32m✓\u{1b}[0m nothing is wrong")
        }
        _ => {
            let _ = writeln!(io::stderr(), "fake openclaw: cannot {}", words.join(" "));
            return ExitCode::from(1);
        }
    };
    let _ = writeln!(io::stdout(), "{said}");
    ExitCode::SUCCESS
}

/// Allocates and touches memory until there is none left.
fn hog() -> ExitCode {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 4 << 20]);
        if taken.len() > 4096 {
            return last_words(2);
        }
    }
}

/// The equivalent of the firewall's probe (worker/src/reconcile/firewall.js), as this image has no node.
fn probe(targets: &[String]) -> ExitCode {
    let attempt = |target: &str, millis| {
        let Ok(target) = target.parse() else { return "refused" };
        match TcpStream::connect_timeout(&target, Duration::from_millis(millis)) {
            Ok(_) => "open",
            Err(error) if error.kind() == io::ErrorKind::TimedOut => "silent",
            Err(_) => "refused",
        }
    };
    let [host, neighbour, forwarded, metadata] = targets else { return ExitCode::FAILURE };
    let reached = thread::scope(|scope| {
        let here = [host, neighbour].map(|target| scope.spawn(move || attempt(target, 2000)));
        let through = scope.spawn(move || match attempt(forwarded, 1500) {
            "silent" => attempt(forwarded, 1000),
            how => how,
        });
        let cloud = scope.spawn(move || attempt(metadata, 2000));
        let is = |how: thread::Result<&str>, what| how.is_ok_and(|how| how == what);
        let open = here.into_iter().any(|thread| is(thread.join(), "open"));
        u8::from(open) + 2 * u8::from(!is(through.join(), "refused")) + 4 * u8::from(is(cloud.join(), "open"))
    });
    ExitCode::from(64 + reached)
}

/// Fork bomb: starts itself without end.
fn bomb() -> ! {
    loop {
        if std::process::Command::new("/usr/local/bin/node").arg("bomb").spawn().is_err() {
            pause(50);
        }
    }
}

/// Prints without end.
fn flood() {
    let line = "fake gateway: nothing to say, at length ".repeat(25);
    loop {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

#[expect(clippy::disallowed_methods, reason = "this program is not part of the product")]
fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

#[expect(clippy::disallowed_methods, reason = "this program is not part of the product")]
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn note_start() -> io::Result<()> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    writeln!(OpenOptions::new().create(true).append(true).open(STARTS)?, "{at}")
}

/// Changes the state so that an older version cannot read it.
#[expect(clippy::disallowed_methods, reason = "this program is not part of the product")]
fn migrate() {
    let state = "/home/node/.openclaw/state";
    let _ = std::fs::create_dir_all(format!("{state}/migrated"));
    let _ = std::fs::write(format!("{state}/db"), "of another version");
    let _ = std::fs::remove_file(format!("{state}/old"));
    let _ = std::fs::write(CONFIG, "{ \"migrated\": true }");
}

/// Prints a reason, and what must never be passed on (the tokens and keys in its files), and exits.
fn last_words(code: u8) -> ExitCode {
    let config = std::fs::read_to_string(CONFIG).unwrap_or_default();
    let environment = std::fs::read_to_string(ENVIRONMENT).unwrap_or_default();
    let secret = config.lines().filter(|line| line.to_lowercase().contains("token\":"));
    for line in secret.chain(environment.lines().filter(|line| line.contains('='))) {
        let _ = writeln!(io::stderr(), "fake gateway: read {}", line.trim());
    }
    let _ = writeln!(io::stderr(), "fake gateway: told to fail with {code}");
    ExitCode::from(code)
}

/// `ready_at`: when it becomes ready; `None`: never.
fn serve(ready_at: Option<Instant>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    writeln!(io::stdout(), "fake gateway: listening on {PORT}")?;
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        thread::spawn(move || answer(connection, ready_at));
    }
    Ok(())
}

/// Echoes until the connection ends. It does no WebSocket handshake beyond the status line.
fn echo(mut connection: TcpStream) {
    let _ = connection.set_read_timeout(None);
    let _ = write!(connection, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = connection.read(&mut buffer) {
        if connection.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// Speaks enough of OpenClaw's protocol to list devices, and to be released from a suspension. `None`: the connection ended.
fn speak(mut connection: TcpStream, head: &str) -> Option<()> {
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let key = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?.1;
    let accept = base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes().try_into().ok()?));
    let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade";
    write!(connection, "{head}\r\nsec-websocket-accept: {accept}\r\n\r\n").ok()?;
    say(&mut connection, r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1796024402771}}"#)?;
    let connect = hear(&mut connection)?;
    let device = &between(&connect, r#""device":{"id":""#, "\"")?;
    if !std::path::Path::new(SOCKET_PAIRED).exists() {
        let details = format!(r#"{{"code":"PAIRING_REQUIRED","requestId":"{SOCKET_REQUEST}"}}"#);
        let error = format!(r#"{{"code":"NOT_PAIRED","message":"pairing required","details":{details}}}"#);
        return say(&mut connection, &format!(r#"{{"type":"res","id":"1","ok":false,"error":{error}}}"#));
    }
    say(&mut connection, r#"{"type":"res","id":"1","ok":true,"payload":{"type":"hello-ok","protocol":4}}"#)?;
    let list = hear(&mut connection)?;
    if between(&list, r#""method":""#, "\"")? == "gateway.suspend.resume" {
        return say(&mut connection, r#"{"type":"res","id":"2","ok":true,"payload":{}}"#);
    }
    assert_eq!(between(&list, r#""method":""#, "\"")?, "device.pair.list");
    writeln!(OpenOptions::new().create(true).append(true).open(SOCKET_LISTS).ok()?, "{device}").ok()?;
    let (pending, paired) = DEVICES.split_once(r#""paired": ["#)?;
    let devices = format!(r#"{pending}"paired": [{{"deviceId":"{device}","role":"operator"}},{paired}"#);
    say(&mut connection, &format!(r#"{{"type":"res","id":"2","ok":true,"payload":{devices}}}"#))
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    Some(text.split_once(before)?.1.split_once(after)?.0.to_owned())
}

/// Sends a text message.
fn say(connection: &mut TcpStream, text: &str) -> Option<()> {
    let length = u16::try_from(text.len()).ok()?.to_be_bytes();
    let head = [0x81, 126, length[0], length[1]];
    connection.write_all(&[&head, text.as_bytes()].concat()).ok()
}

/// Receives a message, which a client masks.
fn hear(connection: &mut TcpStream) -> Option<String> {
    let mut head = [0; 2];
    connection.read_exact(&mut head).ok()?;
    let mut length = usize::from(head[1] & 0x7f);
    if length == 126 {
        connection.read_exact(&mut head).ok()?;
        length = usize::from(u16::from_be_bytes(head));
    }
    let (mut mask, mut text) = ([0; 4], vec![0; length]);
    connection.read_exact(&mut mask).ok()?;
    connection.read_exact(&mut text).ok()?;
    text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    String::from_utf8(text).ok()
}

/// Of the 60 bytes that are hashed in the handshake of WebSockets (RFC 6455).
#[expect(clippy::many_single_char_names, reason = "as in the standard")]
fn sha1(text: &[u8; 60]) -> [u8; 20] {
    let mut text = text.to_vec();
    text.push(0x80);
    text.resize(120, 0);
    text.extend(480_u64.to_be_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in text.chunks_exact(64) {
        let mut words: Vec<u32> =
            block.chunks_exact(4).map(|word| word.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.into_iter().enumerate() {
            let (mix, constant) = match at {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc_u32),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let sum = a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
            (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
        }
        for (sum, more) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(more);
        }
    }
    let mut digest = [0; 20];
    digest.iter_mut().zip(state.into_iter().flat_map(u32::to_be_bytes)).for_each(|(to, from)| *to = from);
    digest
}

/// Of 20 bytes: 27 characters and a padding.
fn base64(bytes: &[u8; 20]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let digit = |at: usize| alphabet[(0..6).fold(0, |sum, more| sum << 1 | usize::from(bit(6 * at + more)))];
    (0..27).map(|at| char::from(digit(at))).chain(['=']).collect()
}

/// Whether a request is a POST with the gateway's token.
fn asks_as_the_owner(head: &str) -> bool {
    let config = std::fs::read_to_string(CONFIG).unwrap_or_default();
    let sent = head.split("authorization: Bearer ").nth(1).and_then(|rest| rest.lines().next());
    head.starts_with("POST ") && sent.is_some_and(|token| config.contains(&format!("\"{token}\"")))
}

/// A request of which only a part was read, until its length.
fn with_body(connection: &mut TcpStream, read: &str) -> String {
    let length = between(&read.to_ascii_lowercase(), "content-length: ", "\r\n").and_then(|length| length.parse().ok());
    let end = read.find("\r\n\r\n").map_or(read.len(), |at| at + 4) + length.unwrap_or(0_usize);
    let mut rest = vec![0; end.saturating_sub(read.len())];
    let _ = connection.read_exact(&mut rest);
    format!("{read}{}", String::from_utf8_lossy(&rest))
}

fn answer(mut connection: TcpStream, ready_at: Option<Instant>) {
    let _ = connection.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < 16 << 10 {
        match connection.read(&mut buffer) {
            Ok(read @ 1..) => head.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
        if std::path::Path::new(SOCKET).exists() {
            let _ = speak(connection, &head);
            return;
        }
        return echo(connection);
    }
    let ready = ready_at.is_some_and(|at| Instant::now() >= at);
    let plugin = std::fs::read_to_string(PLUGIN).ok();
    let whole = if path == "/echo" { with_body(&mut connection, &head) } else { String::new() };
    let (status, body) = match path {
        "/clawdeploy/v1/owner-bootstrap" => match &plugin {
            Some(answer) if answer == "hang" => loop {
                thread::park();
            },
            Some(answer) if asks_as_the_owner(&head) => ("200 OK", answer.as_str()),
            Some(_) => ("401 Unauthorized", ""),
            None => ("404 Not Found", "Not Found"),
        },
        "/startupz" | "/readyz" if !ready => ("503 Service Unavailable", "{\"ok\":false}"),
        "/startupz" | "/readyz" | "/healthz" => ("200 OK", "{\"ok\":true}"),
        "/" => ("200 OK", "<!doctype html><title>Fake Control</title>"),
        "/crash" => ("200 OK", "crashing"),
        // The head of this request, as it arrived.
        "/head" => ("200 OK", &*head),
        // The whole request.
        "/echo" => ("200 OK", whole.as_str()),
        _ => ("404 Not Found", "nothing here"),
    };
    let length = body.len();
    // A cookie for the whole base domain, which a proxy must not pass on.
    let cookie = if path == "/head" { "set-cookie: a=b; Domain=.claw.test; Path=/\r\n" } else { "" };
    let _ =
        write!(connection, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{cookie}connection: close\r\n\r\n{body}");
    if path == "/crash" {
        let _ = writeln!(io::stderr(), "fake gateway: told to crash");
        std::process::exit(1);
    }
}
