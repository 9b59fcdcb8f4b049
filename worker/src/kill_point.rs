//! Places where the fault tests kill the process, like `kill -9`, or make it hang.
//!
//! With the feature `failpoints`, `FAILPOINTS="provision.start_container.after=return"` kills it there, and
//! `=return(FILE)` holds it there while that file exists; another file, `FILE.reached`, says that it got there.
//! Releases are built without the feature and contain none of this.

/// Kills the process here or waits, if a test asked for it.
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

/// Waits until the file is gone, with a limit in case its test is gone.
#[cfg(feature = "failpoints")]
#[expect(clippy::disallowed_methods, reason = "it is to stand still as a slow call of the operating system does")]
fn stand_still(file: &str) {
    use std::{fs::File, path::Path, thread::sleep, time::Duration};

    let _ = File::create(format!("{file}.reached"));
    // The other tasks of the runtime continue in the meantime.
    tokio::task::block_in_place(|| {
        for _ in 0..6000 {
            if !Path::new(file).exists() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    });
}
