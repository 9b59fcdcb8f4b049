//! Programs of the release before beside those of this one, as while a new version is installed, or the one before again.
//!
//! The database has the new schema: a program leaves migrations alone that it does not know. `scripts/test --compat` builds the
//! programs of the commit that `tests/previous-release` names, and runs these tests.

mod life;
mod mixed;
mod takeover;
