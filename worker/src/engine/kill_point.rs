//! Places where the fault tests end the process at once, as `kill -9` would.
//!
//! With the feature `failpoints`, `FAILPOINTS="provision.start_container.after=return"` ends it there. Without, which
//! is how releases are built, nothing of it is in the binary.

/// Ends the process here if a test asked for it.
#[cfg_attr(
    not(feature = "failpoints"),
    expect(clippy::missing_const_for_fn, reason = "it is not one with the feature")
)]
pub fn kill_point(kind: &str, step: &str, place: &str) {
    #[cfg(feature = "failpoints")]
    if fail::eval(&format!("{kind}.{step}.{place}"), |_| ()).is_some() {
        std::process::abort();
    }
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (kind, step, place);
    }
}
