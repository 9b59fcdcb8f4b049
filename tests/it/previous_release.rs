//! Programs of the previous release together with those of this one, as during an upgrade or a downgrade.
//!
//! The database has the new schema; a program ignores migrations that it does not know. `scripts/test --compat` builds
//! the programs of the commit in `tests/previous-release` and runs these tests.

mod life;
mod mixed;
mod takeover;
