//! A signature is valid only for the call that it was made for.
#![no_main]

use clawdeploy_shared::{
    ids::InstanceId,
    rpc::Verb,
    rpc::signature::{Call, CallKey},
};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

#[derive(Debug, Arbitrary)]
struct Input {
    /// Sent in place of a signature.
    shown: String,
    /// A position in a valid signature, and the byte to put there.
    spoilt: (u8, u8),
    worker: String,
    verb: u8,
    arguments: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let key = CallKey::derive_all(&[&[7; 32], &[8; 32]]).expect("a key");
    let instance: InstanceId = "k3v9q0x2m7ab".parse().expect("an id");
    let verb = Verb::ALL[usize::from(input.verb) % Verb::ALL.len()];
    let call = Call { worker: &input.worker, instance: &instance, verb, arguments: &input.arguments };
    assert!(!key.verify(&input.shown, call), "{:?}", input.shown);
    let signature = key.sign(call);
    assert!(key.verify(&signature, call), "its own");
    let (at, byte) = (usize::from(input.spoilt.0) % signature.len(), char::from(input.spoilt.1 % 128));
    let spoilt = format!("{}{byte}{}", &signature[..at], &signature[at + 1..]);
    // Hexadecimal digits are accepted in both cases.
    assert!(spoilt.eq_ignore_ascii_case(&signature) || !key.verify(&spoilt, call), "{spoilt}");
    assert!(!key.verify(&signature[..at], call), "cut off");
    let other = Call { worker: &format!("{}x", input.worker), ..call };
    assert!(!key.verify(&signature, other), "another worker's");
});
