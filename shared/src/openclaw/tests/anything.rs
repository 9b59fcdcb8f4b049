//! Random input for parsers of external data: nothing panics, and accepted values are valid.
//!
//! `CLAWDEPLOY_TEST_ROUNDS` sets the number of rounds. A failure prints its seed, and `CLAWDEPLOY_TEST_SEED` repeats
//! it.

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    ids::JobId,
    openclaw::{git_ref::GitRef, reference::ImageReference, version::OpenclawVersion},
    ports::{NetworkPool, PortRange},
    rpc::{Address, DeviceId, PairingRequestId},
};

const ROUNDS: u64 = 3000;

#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs a check with many seeds. A failure prints its seed.
fn rounds(check: impl Fn(&mut StdRng) + std::panic::RefUnwindSafe) {
    let first = number("CLAWDEPLOY_TEST_SEED");
    let (from, count) = (first.unwrap_or_else(|| rand::rng().next_u64() >> 1), number("CLAWDEPLOY_TEST_ROUNDS"));
    for seed in (from..).take(usize::try_from(first.map_or(count.unwrap_or(ROUNDS), |_| 1)).unwrap()) {
        let passed = std::panic::catch_unwind(|| check(&mut StdRng::seed_from_u64(seed)));
        assert!(passed.is_ok(), "CLAWDEPLOY_TEST_SEED={seed}");
    }
}

fn one_of<'a, T>(rng: &mut StdRng, items: &'a [T]) -> &'a T {
    &items[rng.random_range(0..items.len())]
}

/// A random mutation of one of the texts in `near`.
fn text(rng: &mut StdRng, near: &[&str]) -> String {
    const ODD: [char; 24] = [
        '\0', '\n', '\r', '\t', ' ', '"', '\'', '\\', '/', '.', '-', '_', '=', '$', ';', '{', '}', '~', '*',
        '\u{202e}', 'é', '✓', '🦞', '\u{7f}',
    ];
    let mut chars: Vec<char> = one_of(rng, near).chars().collect();
    for _ in 0..rng.random_range(0..4_u8) {
        let at = rng.random_range(0..=chars.len());
        match rng.random_range(0..5_u8) {
            0 if at < chars.len() => drop(chars.remove(at)),
            1 if at < chars.len() => chars[at] = *one_of(rng, &ODD),
            2 => chars.truncate(at),
            3 => {
                let again: Vec<char> = chars[..at].to_vec();
                chars.extend(again);
            }
            _ => chars.insert(at, if rng.random() { *one_of(rng, &ODD) } else { rng.random_range('a'..='z') }),
        }
    }
    chars.into_iter().take(4000).collect()
}

/// A random JSON value. Some of its names have a meaning to the platform.
fn value(rng: &mut StdRng, depth: u8) -> Value {
    const NAMES: [&str; 12] = [
        "gateway",
        "auth",
        "token",
        "channels",
        "telegram",
        "discord",
        "botToken",
        "enabled",
        "controlUi",
        "agents",
        "",
        "x",
    ];
    match rng.random_range(0..if depth == 0 { 5_u8 } else { 8 }) {
        0 => Value::Null,
        1 => rng.random::<bool>().into(),
        2 => rng.random::<i64>().into(),
        3 => rng.random::<f64>().into(),
        4 => text(rng, &NAMES).into(),
        5 => (0..rng.random_range(0..4_u8)).map(|_| value(rng, depth - 1)).collect(),
        _ => {
            let entry = |rng: &mut StdRng| ((*one_of(rng, &NAMES)).to_owned(), value(rng, depth - 1));
            Value::Object((0..rng.random_range(0..6_u8)).map(|_| entry(rng)).collect())
        }
    }
}

#[test]
fn ids_and_labels_are_what_they_are_or_refused() {
    const ID: &str = "k3v9q0x2m7ab";
    const UUID: &str = "01900000-0000-7000-8000-000000000000";
    rounds(|rng| {
        let typed = text(rng, &[ID, UUID, "", &"ab".repeat(32)]);
        if let Ok(id) = typed.parse::<InstanceId>() {
            assert_eq!(id.as_str(), typed);
            // The id becomes a host name, a directory and a key of nginx's map.
            assert!(
                typed.len() == 12 && typed.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
                "{typed:?}"
            );
            assert!(typed.starts_with(|c: char| c.is_ascii_lowercase()), "{typed:?}");
        }
        if let Ok(id) = typed.parse::<JobId>() {
            assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        }
        if let Ok(id) = typed.parse::<PairingRequestId>() {
            assert_eq!(id.to_string(), typed);
        }
        if let Ok(id) = typed.parse::<DeviceId>() {
            assert_eq!(id.to_string(), typed);
        }
    });
}

/// None of them can be taken for an option, contains a line end, or leads to another path.
#[test]
fn what_goes_to_other_programs_is_plain() {
    let near =
        ["main", "v2026.9.6", "refs/heads/a-b", "registry.example:5000/a/b:tag", "name@sha256:0123", "2026.9.6-1"];
    rounds(|rng| {
        let typed = text(rng, &near);
        let plain = |what: &str, text: &str| {
            assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace()), "{what} {text:?}");
            assert!(!text.starts_with('-') && !text.is_empty(), "{what} {text:?}");
        };
        if let Ok(git_ref) = GitRef::parse(&typed) {
            plain("a ref", git_ref.as_str());
            assert!(!typed.contains(".."), "{typed:?}");
            git_ref.candidates().iter().for_each(|candidate| plain("a candidate", candidate));
        }
        if let Ok(version) = OpenclawVersion::parse(&typed) {
            plain("a version", version.as_str());
        }
        if let Ok(image) = typed.parse::<ImageReference>() {
            plain("an image", &image.to_string());
            assert!(!typed.contains("//") && !typed.contains("../"), "{typed:?}");
        }
        let _ = version::is_older(&typed, "2026.9.6");
    });
}

#[test]
fn addresses_and_ranges_do_not_overflow() {
    let near =
        ["10.210.0.0/15", "0.0.0.0/8", "255.255.255.248/29", "10000-20000", "1024-65535", "127.0.0.1:0", "unix:/a"];
    rounds(|rng| {
        let typed = text(rng, &near);
        let port = rng.random();
        if let Ok(pool) = typed.parse::<NetworkPool>() {
            let _ = pool.subnet("1024-65535".parse().unwrap(), port);
        }
        if let Ok(range) = typed.parse::<PortRange>() {
            assert!(1024 <= range.first && range.first <= range.last, "{typed:?}");
            let _ = "10.210.0.0/15".parse::<NetworkPool>().unwrap().subnet(range, port);
        }
        if let Ok(address) = typed.parse::<Address>() {
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    });
}

/// The platform's settings are restored in any `openclaw.json`. Restoring twice changes nothing more.
#[test]
fn any_configuration_becomes_one_that_we_can_reach() {
    rounds(|rng| {
        let (id, token, routing) = (InstanceId::random(), SecretString::from("right"), routing(Routing::Nginx));
        let bot = SecretString::from("bot");
        let channel = *one_of(rng, Channel::ALL);
        let bot_token = (channel != Channel::None).then_some(&bot);
        let settings = GatewaySettings { channel, bot_token, ..settings(&id, &token, &routing) };
        let file = value(rng, 4).to_string();
        let before = *one_of(rng, Channel::ALL);
        let change = || ConfigChange::platform(&settings).channel(before, &settings).provider(&settings);
        let changed = match change().apply(&file) {
            Err(EditError::NoObject) if !file.starts_with('{') => return,
            other => other.unwrap().unwrap_or(file),
        };
        let file: Value = serde_json::from_str(&changed).expect("plain JSON stays plain JSON");
        if before != channel && before != Channel::None {
            let old = &file["channels"][before.as_str()];
            assert_eq!(old["enabled"], false);
            assert_eq!((old.get("botToken"), old.get("token")).0.filter(|_| before == Channel::Telegram), None);
        }
        assert_eq!(file["gateway"]["auth"]["token"], "right");
        assert_eq!(file["gateway"]["bind"], "lan");
        assert_eq!(file["gateway"]["controlUi"]["allowedOrigins"], json!([format!("https://{id}.claw.test")]));
        assert_eq!(change().apply(&changed), Ok(None), "once is not as twice");
    });
}

/// The owner's lines of `.env` stay, and each line of the platform exists once.
#[test]
fn any_environment_keeps_the_owners_lines() {
    rounds(|rng| {
        let near = ["# mine\nMINE=1\nKEY=old\n", "KEY", "export KEY=x", " KEY = 1\r\nOTHER=\"a b\"", ""];
        let existing = text(rng, &near);
        let secret = SecretString::from("sk-0123");
        let variables = BTreeMap::from([("KEY", &secret)]);
        let changed = env_text(&change_env_file(existing.as_bytes(), &BTreeSet::from(["GONE".to_owned()]), &variables));
        assert_eq!(changed.lines().filter(|line| *line == "KEY=\"sk-0123\"").count(), 1, "{changed:?}");
        // OpenClaw accepts both kinds of line ends.
        let lines = |text: &str| text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect::<Vec<_>>();
        let kept = lines(&changed);
        for line in lines(&existing).iter().filter(|line| !line.contains('=')) {
            assert!(kept.contains(line), "{line:?} of {existing:?}");
        }
        let again = env_text(&change_env_file(changed.as_bytes(), &BTreeSet::new(), &variables));
        assert_eq!(again, changed);
    });
}
