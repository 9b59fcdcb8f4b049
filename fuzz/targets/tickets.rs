//! No ticket is good but the one that was made for just this errand.
#![no_main]

use clawdeploy_shared::{
    ids::InstanceId,
    inside::Verb,
    ticket::{Errand, TicketKey},
};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

#[derive(Debug, Arbitrary)]
struct Input {
    /// What is shown instead of a ticket.
    shown: String,
    /// A byte of a good one that is another, and which.
    spoilt: (u8, u8),
    worker: String,
    verb: u8,
    arguments: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let key = TicketKey::derive_all(&[&[7; 32], &[8; 32]]).expect("a key");
    let instance: InstanceId = "k3v9q0x2m7ab".parse().expect("an id");
    let verb = Verb::ALL[usize::from(input.verb) % Verb::ALL.len()];
    let errand = Errand { worker: &input.worker, instance: &instance, verb, arguments: &input.arguments };
    assert!(!key.admits(&input.shown, errand), "{:?}", input.shown);
    let ticket = key.issue(errand);
    assert!(key.admits(&ticket, errand), "its own");
    let (at, byte) = (usize::from(input.spoilt.0) % ticket.len(), char::from(input.spoilt.1 % 128));
    let spoilt = format!("{}{byte}{}", &ticket[..at], &ticket[at + 1..]);
    // Digits above nine are the same in both cases.
    assert!(spoilt.eq_ignore_ascii_case(&ticket) || !key.admits(&spoilt, errand), "{spoilt}");
    assert!(!key.admits(&ticket[..at], errand), "cut off");
    let other = Errand { worker: &format!("{}x", input.worker), ..errand };
    assert!(!key.admits(&ticket, other), "another worker's");
});
