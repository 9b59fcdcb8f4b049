//! Whatever `.env` contains, the owner's lines stay, and each line of the platform exists once.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use clawdeploy_shared::openclaw::change_env_file;
use libfuzzer_sys::fuzz_target;
use secrecy::{ExposeSecret as _, SecretString};

/// OpenClaw accepts both kinds of line ends.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.trim_end_matches('\r')).collect()
}

fuzz_target!(|existing: &str| {
    let secret = SecretString::from("sk-0123");
    let variables = BTreeMap::from([("KEY", &secret)]);
    let changed = change_env_file(existing.as_bytes(), &BTreeSet::from(["GONE".to_owned()]), &variables);
    let changed = std::str::from_utf8(changed.expose_secret()).expect("text stays text");
    assert_eq!(lines(changed).iter().filter(|line| **line == "KEY=\"sk-0123\"").count(), 1, "{changed:?}");
    let name = |line: &str| line.split_once('=').map(|(name, _)| name.trim().to_owned());
    let kept: BTreeSet<&str> = lines(changed).into_iter().collect();
    for line in lines(existing) {
        let ours = name(line).is_some_and(|name| name == "KEY" || name == "GONE");
        assert!(ours || kept.contains(line), "{line:?} was the owner's");
        assert!(!ours || line == "KEY=\"sk-0123\"" || !kept.contains(line), "{line:?} is still there");
    }
    let again = change_env_file(changed.as_bytes(), &BTreeSet::new(), &variables);
    assert_eq!(again.expose_secret(), changed.as_bytes());
});
