//! Shared by the fuzz targets. Each target takes any input and fails by panicking. `seeds/` has its initial inputs.

use clawdeploy_shared::{
    config::{Routing, RoutingArgs},
    ids::InstanceId,
    instance::{AiProvider, Channel},
    openclaw::GatewaySettings,
};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// Splits an input into pieces. Its first eight bytes are the lengths of the pieces; the remaining bytes are split.
/// Returns them whole and in pieces.
pub fn pieces(data: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let (lengths, whole) = data.split_at(data.len().min(8));
    let (mut rest, mut pieces) = (whole, Vec::new());
    for length in lengths {
        let (piece, after) = rest.split_at(rest.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    (whole, pieces)
}

/// A text and the byte before it, which makes a choice.
pub fn choice(data: &[u8]) -> Option<(u8, &str)> {
    let (choice, rest) = data.split_first()?;
    Some((*choice, std::str::from_utf8(rest).ok()?))
}

/// Settings of an instance that the bits of `choice` select.
pub fn with_settings<T>(choice: u8, work: impl FnOnce(Channel, &GatewaySettings<'_>) -> T) -> T {
    let id: InstanceId = "k3v9q0x2m7ab".parse().expect("an id");
    let (token, bot, key) = (SecretString::from("right"), SecretString::from("bot"), SecretString::from("sk-key"));
    let channel_of = |bits: u8| Channel::ALL[usize::from(bits) % Channel::ALL.len()];
    let channel = channel_of(choice & 3);
    let routing = if choice & 64 == 0 { Routing::Nginx } else { Routing::Direct };
    let range = "10000-20000".parse().expect("a range");
    let routing = RoutingArgs { routing, base_domain: "claw.test".into(), https_port: 443, port_range: range };
    let settings = GatewaySettings {
        id: &id,
        token: &token,
        channel,
        bot_token: (channel != Channel::None).then_some(&bot),
        ai_provider: AiProvider::ALL[usize::from(choice >> 4) % AiProvider::ALL.len()],
        api_key: Some(&key),
        env: &BTreeMap::new(),
        routing: &routing,
        port: 10001,
        proxy: [10, 0, 0, 1].into(),
        openclaw_version: "2026.9.6",
        created_at: "2026-11-22T00:00:00Z".into(),
    };
    work(channel_of(choice >> 2 & 3), &settings)
}
