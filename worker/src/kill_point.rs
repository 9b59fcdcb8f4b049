//! Places where the fault tests end the process at once, as `kill -9` would, or make it stand still.
//!
//! With the feature `failpoints`, `FAILPOINTS="provision.start_container.after=return"` ends it there, and `=return(FILE)` keeps it
//! there while that file exists; that it is there is told by another file, `FILE.reached`. Without the feature, which is how releases
//! are built, nothing of it is in the binary.

/// Ends the process here, or waits, if a test asked for it.
#[cfg_attr(
    not(feature = "failpoints"),
    expect(clippy::missing_const_for_fn, reason = "it is not one with the feature")
)]
pub(crate) fn kill_point(kind: &str, step: &str, place: &str) {
    #[cfg(feature = "failpoints")]
    match fail::eval(&format!("{kind}.{step}.{place}"), |file| file) {
        Some(Some(file)) => stand_still(&file),
        Some(None) => std::process::abort(),
        None => {}
    }
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (kind, step, place);
    }
}

/// Waits until the file is gone; not for ever, should its test be.
#[cfg(feature = "failpoints")]
#[expect(clippy::disallowed_methods, reason = "it is to stand still as a slow call of the operating system does")]
fn stand_still(file: &str) {
    use std::{fs::File, path::Path, thread::sleep, time::Duration};

    let _ = File::create(format!("{file}.reached"));
    // What else the program has to do goes on meanwhile.
    tokio::task::block_in_place(|| {
        for _ in 0..6000 {
            if !Path::new(file).exists() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    });
}
