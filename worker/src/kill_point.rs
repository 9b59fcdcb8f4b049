//! Places where the fault tests kill the process, like `kill -9`, or make it hang.
//!
//! With the feature `failpoints`, `FAILPOINTS="provision.start_container.after=return"` kills it there, and
//! `=return(FILE)` holds it there while that file exists; another file, `FILE.reached`, says that it got there.
//! `FAILPOINTS="core.reaper=return(FILE)"` makes a core task panic once that file exists. Releases are built without the
//! feature and contain none of this.

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

/// Panics when a test asks for it, and otherwise never ends.
pub(crate) async fn core_task_panics(task: &str) {
    #[cfg(feature = "failpoints")]
    if let Some(Some(file)) = fail::eval(&format!("core.{task}"), |file| file) {
        while !std::path::Path::new(&file).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        #[expect(clippy::panic, reason = "this is what the test asks for")]
        {
            panic!("a test made the task {task} panic");
        }
    }
    let _ = task;
    std::future::pending::<()>().await;
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
