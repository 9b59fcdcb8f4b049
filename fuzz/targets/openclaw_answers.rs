//! Output of OpenClaw's command line in a tenant's container: the parsed result is bounded, and no text in it has a
//! special meaning elsewhere.
#![no_main]

use clawdeploy_shared::rpc::PairedDevice;
use clawdeploy_worker::rpc::fuzzing::{approved, bootstrap, devices};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;

fn plain(device: &PairedDevice) {
    let texts = [&device.platform, &device.client_id, &device.role, &device.remote_ip].into_iter().flatten();
    for text in texts.chain(&device.scopes) {
        assert!(text.chars().count() <= 200 && !text.contains(|c: char| c.is_control()), "{text:?}");
    }
    assert!(device.scopes.len() <= 50);
}

fuzz_target!(|output: &[u8]| {
    if let Some(devices) = devices(output) {
        assert!(devices.pending.len() <= 200 && devices.paired.len() <= 200);
        devices.paired.iter().for_each(plain);
        assert!(serde_json::to_string(&devices).is_ok());
    }
    if let Some(device) = approved(output) {
        plain(&device);
    }
    if let Some(made) = bootstrap(output) {
        let token = made.token.expose_secret();
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        assert!((1..=256).contains(&token.len()) && token.bytes().all(is_plain), "{token:?}");
    }
});
