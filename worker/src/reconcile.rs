//! Compares what the rows say with what is so, on Docker's events and on a timer. Takes no input: even when an event
//! says what changed, the world is looked at.

pub mod drift;
