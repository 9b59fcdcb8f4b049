//! Messages of a browser to a terminal: invalid ones are rejected, valid ones are passed on unchanged, and sizes are
//! limited to what terminals support.
#![no_main]

use clawdeploy_shared::rpc::terminal::{AttachArguments, FromClient, OpenArguments, Size};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = serde_json::from_slice::<FromClient>(data) {
        let said = serde_json::to_string(&message).expect("JSON");
        assert_eq!(serde_json::from_str::<FromClient>(&said).ok(), Some(message));
        if let FromClient::Resize { cols, rows } = message {
            let size = Size { cols, rows }.clamped();
            assert!((2..=1000).contains(&size.cols) && (1..=500).contains(&size.rows), "{size:?}");
            assert_eq!(size, size.clamped());
        }
    }
    for text in [
        serde_json::from_slice::<OpenArguments>(data).ok().map(|opens| serde_json::to_string(&opens)),
        serde_json::from_slice::<AttachArguments>(data).ok().map(|attaches| serde_json::to_string(&attaches)),
    ] {
        assert!(text.is_none_or(|text| text.is_ok()));
    }
});
