//! Fault tests beyond those of the binary `it`: a matrix of operations and faults, random operations under random
//! faults, and load. `scripts/test --faults` runs all of it; with `--chaos N` it makes a long random run.
//!
//! A fault test that cannot fail is useless, and with so many parts involved, reading it does not show whether it can.
//! So when you add a row, or change what a family tests, break the code once on purpose, check that the family fails on
//! the intended assertion, and revert the break. What to break for each family:
//!
//! | family | break |
//! |---|---|
//! | kill points, lost answers of the engine | an existing container is not reused (`Holder::Same`) |
//! | poison | the reaper counts no crashes |
//! | freeze | `JobContext::hold` always succeeds |
//! | end on request | jobs are not handed back |
//! | refused and unheard calls, engine away, builds | a transient error counts as a permanent one |
//! | behind our back | waiting for a gateway is never hopeless |
//! | silence of Postgres | expired leases are neither renewed nor given back late, and the reaper does not wait |
//! | lost claims | nothing is given back after a failed claim |
//! | conflicts | no error of Postgres is transient |
//! | Redis | workers do not look for jobs that no ring announced |
//! | clocks | the reaper compares with its own clock |
//! | requests whose answer is lost, the API and its clients | idempotency keys are not looked up |
//! | connections to Postgres cut, other lost commits | a failure of the database counts as a permanent one |
//! | steps | one undo is left out |
//! | reboot, load, chaos | jobs of dead workers are not taken back |
//! | many boot at once | `boot::ask` ignores boots without a job; the sweep `stuck` does not wait |
//! | fairness | jobs are claimed in the order in which they were created |
//! | crash loops | the breaker never trips |
//! | memory | an OOM kill of a gateway is ignored |
//! | configurations | a configuration that is not plain JSON is not edited |
//! | changes | `undo_failed` always tries again; waits for the engine count; `clear_pending` ignores the settings |
//! | sleep | `wake_due` wakes nobody; `set_desired_state` leaves `asleep_since` and `wake_at` as they are |
//! | warm pool | `connect_only` leaves the other networks connected; a failed `warm_up` keeps its row |
//! | words of a newer version | an unknown value cannot be read (`text_enum`), and a claim does not select by kind |
//! | firewall | the result of the probe is ignored; the script's `watch` does nothing |
//! | builds that are given up | the sweep `images` ends none |
//! | strangers | a worker's database, directory and engine always belong together (`judge::binding`) |
//! | an older dump | `shown_gone` returns all ids that it gets, and `without_instance` directories are removed |
//!
//! If a family stays green, its rows expect too little: a correct end alone often hides how it was reached (see
//! [`row::Expected`]).
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod asleep;
mod builds;
mod changed;
mod chaos;
mod driver;
mod firewall;
mod gateways;
mod load;
mod matrix;
mod newer;
mod provoke;
mod reboot;
mod restored;
mod row;
mod steps;
mod strangers;
mod support;
mod warm;
