//! What happens under faults, beyond what the binary `it` covers one by one: a matrix of operations and faults, random
//! operations under random faults, and load. `scripts/test --faults` runs all of it, and `--chaos N` a long random run.
//!
//! A fault test that cannot fail is a defect, and one of a whole engine fails for so many reasons that a look at it does not
//! tell. So whoever adds a row, or changes what a family stands for, breaks the code once on purpose, sees the family red by the
//! assertion that is meant, and takes the break back. What to break:
//!
//! | family | break |
//! |---|---|
//! | kill points, lost answers of the engine | the container that is there already is not taken over (`Holder::Same`) |
//! | poison | the reaper counts no crash |
//! | freeze | `JobContext::hold` always agrees |
//! | end on request | nothing is handed back |
//! | refused and unheard calls, engine away, builds | a transient error counts as a permanent one |
//! | behind our back | waiting for a gateway is never hopeless |
//! | silence of Postgres | leases that ran out are neither renewed nor given back late, and the reaper does not wait |
//! | lost claims | nothing is given back after a claim that failed |
//! | conflicts | no error of Postgres is transient |
//! | Redis | nobody looks for jobs that no ring announced |
//! | clocks | the reaper compares with its own clock |
//! | requests whose answer is lost, the API and its clients | no idempotency key is looked up |
//! | connections to Postgres cut, other lost commits | a failure of the database counts as a permanent one |
//! | steps | one undo is left out |
//! | reboot, load, chaos | nothing is taken back from workers that are gone |
//! | many boot at once | `boot::ask` does not count what boots by itself; the sweep `stuck` does not wait for it |
//! | fairness | jobs are claimed in the order in which they came |
//! | crash loops | the breaker never trips |
//! | memory | that the kernel killed a gateway is not looked at |
//! | configurations | what is no plain JSON is left as it is |
//! | changes | `undo_failed` always tries again; waits for the engine count; `clear_pending` looks at no settings |
//! | words of a newer version | a word that is not known cannot be read (`text_enum`), and a claim does not choose by kind |
//! | firewall | what the probe reached is not looked at; the script's `watch` does nothing |
//! | builds that are given up | the sweep `images` ends none |
//! | strangers | a worker's database, directory and engine always belong together (`judge::binding`) |
//! | an older dump | `shown_gone` answers with every id that it is asked for, and `without_instance` directories are removed |
//!
//! Where a family stays green its rows ask for too little: a right end alone often hides how it came about (see
//! [`row::Expected`]).
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
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
