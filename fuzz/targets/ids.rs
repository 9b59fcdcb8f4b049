//! Ids, labels and other input that is passed to other programs is either refused or safe without escaping.
#![no_main]

use clawdeploy_shared::{
    ids::{InstanceId, JobId},
    openclaw::{
        git_ref::GitRef,
        reference::ImageReference,
        version::{OpenclawVersion, is_older},
    },
    ports::{NetworkPool, PortRange},
    rpc::{Address, DeviceId, PairingRequestId},
};
use libfuzzer_sys::fuzz_target;

/// The text cannot be taken for an option, and has no white space or line end.
fn plain(what: &str, text: &str) {
    assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace()), "{what} {text:?}");
    assert!(!text.starts_with('-') && !text.is_empty(), "{what} {text:?}");
}

fuzz_target!(|typed: &str| {
    if let Ok(id) = typed.parse::<InstanceId>() {
        assert_eq!(id.as_str(), typed);
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        assert!(typed.len() == 12 && typed.bytes().all(label) && !typed.as_bytes()[0].is_ascii_digit(), "{typed:?}");
    }
    if let Ok(id) = typed.parse::<JobId>() {
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
    }
    if let Ok(id) = typed.parse::<PairingRequestId>() {
        assert_eq!(id.to_string(), typed);
        plain("a request", typed);
    }
    if let Ok(id) = typed.parse::<DeviceId>() {
        assert_eq!(id.to_string(), typed);
        plain("a device", typed);
    }
    if let Ok(git_ref) = GitRef::parse(typed) {
        plain("a ref", git_ref.as_str());
        assert!(!typed.contains(".."), "{typed:?}");
        git_ref.candidates().iter().for_each(|candidate| plain("a candidate", candidate));
    }
    if let Ok(version) = OpenclawVersion::parse(typed) {
        plain("a version", version.as_str());
    }
    if let Ok(image) = typed.parse::<ImageReference>() {
        plain("an image", &image.to_string());
        assert!(!typed.contains("//") && !typed.contains("../"), "{typed:?}");
    }
    let _ = is_older(typed, "2026.9.6");
    if let Ok(address) = typed.parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().ok(), Some(address));
    }
    if let (Some((pool, range)), port) = (typed.split_once(' '), 10_007)
        && let (Ok(pool), Ok(range)) = (pool.parse::<NetworkPool>(), range.parse::<PortRange>())
    {
        let _ = pool.subnet(range, port);
    }
});
