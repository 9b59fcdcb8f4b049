//! Output of containers and builds is shown without control characters and secrets and with a limited length. The
//! result does not depend on how the output is split.
#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clawdeploy_fuzz::pieces;
use clawdeploy_worker::{
    image::fuzzing::{dockerfile, trace},
    runtime::docker::fuzzing::shown,
};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "hunter2hunter2";

fuzz_target!(|data: &[u8]| {
    let (whole, pieces) = pieces(data);
    let lines = shown(pieces.into_iter(), &[SECRET]);
    assert_eq!(lines, shown(std::iter::once(whole), &[SECRET]));
    for line in &lines {
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(!line.contains(SECRET), "{line:?}");
        assert!(line.chars().count() <= 2001, "{} characters", line.chars().count());
    }
    if let Some((vertices, bytes)) = trace(&STANDARD.encode(whole)) {
        assert!(vertices + bytes <= whole.len(), "more than was sent");
    }
    if let Ok(text) = std::str::from_utf8(whole) {
        let _ = trace(text);
        let label = "LABEL clawdeploy.build=\"x\"";
        if let Some(marked) = dockerfile(text, label) {
            // The text stays, and only the label is added.
            let without = |text: &str| {
                let lines = text.lines().filter(|line| *line != label);
                // A line end may be added to the last line.
                lines.map(|line| line.trim_end_matches('\r').to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(without(&marked), without(text));
        }
    }
});
