//! What the engine's list of containers says of each.
//!
//! The list has no exit codes and no times, only words for people: `Up 3 minutes (healthy)`, `Exited (137) 2 hours
//! ago`. The engine writes them with docker/go-units (`HumanDuration`) and has not changed them since 2015, because
//! scripts read them. Words that are not known yield `None`, and the container must be inspected to learn more.

use std::time::Duration;

use bollard::models::ContainerSummary;
use clawdeploy_shared::openclaw::GATEWAY_PORT;

use super::spec::{LABEL_INSTANCE, LABEL_SPEC};
use crate::runtime::{GatewayStatus, OwnedGateway, Reference};

/// `None` for a container whose instance label is not an id, so it was not made here.
pub(super) fn owned(summary: ContainerSummary) -> Option<OwnedGateway> {
    let labels = summary.labels.unwrap_or_default();
    let words = summary.status.unwrap_or_default();
    let ports = summary.ports.unwrap_or_default();
    Some(OwnedGateway {
        id: Reference::new(summary.id?),
        name: summary.names.and_then(|names| names.into_iter().next()).unwrap_or_default().trim_matches('/').to_owned(),
        instance: labels.get(LABEL_INSTANCE)?.parse().ok()?,
        // The list has a type of its own for the same words.
        status: GatewayStatus::from_engine(summary.state.and_then(|state| state.as_ref().parse().ok())),
        exit_code: exit_code(&words),
        up: up(&words),
        port: ports.iter().find(|port| port.private_port == GATEWAY_PORT).and_then(|port| port.public_port),
        image_id: summary.image_id.unwrap_or_default(),
        spec: labels.get(LABEL_SPEC).cloned().unwrap_or_default(),
    })
}

/// The number in `Exited (137) 2 hours ago` or `Restarting (1) 5 seconds ago`.
fn exit_code(words: &str) -> Option<i64> {
    let rest = words.strip_prefix("Exited (").or_else(|| words.strip_prefix("Restarting ("))?;
    rest.split_once(')')?.0.parse().ok()
}

/// The shortest time that `Up 3 minutes (healthy)` may stand for. Minutes are rounded down, and hours to the nearest;
/// anything longer is counted in such hours.
fn up(words: &str) -> Option<Duration> {
    let words = words.strip_prefix("Up ")?;
    let words = words.split_once(" (").map_or(words, |(before, _)| before);
    match words {
        "Less than a second" => return Some(Duration::ZERO),
        "About a minute" => return Some(Duration::from_mins(1)),
        "About an hour" => return Some(Duration::from_hours(1)),
        _ => {}
    }
    let (number, unit) = words.split_once(' ')?;
    // A duration of more than this is not distinguished.
    let number: u64 = number.parse::<u64>().ok()?.min(100_000);
    let hours = |each: u64| Some(Duration::from_hours(number * each).saturating_sub(Duration::from_mins(30)));
    match unit {
        "second" | "seconds" => Some(Duration::from_secs(number)),
        "minutes" => Some(Duration::from_mins(number)),
        "hours" => hours(1),
        "days" => hours(24),
        "weeks" => hours(24 * 7),
        "months" => hours(24 * 30),
        "years" => hours(24 * 365),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_read_as_the_shortest_time() {
        for (words, minutes, seconds) in [
            ("Up Less than a second", 0, 0),
            ("Up 1 second", 0, 1),
            ("Up 59 seconds (health: starting)", 0, 59),
            ("Up About a minute", 1, 0),
            ("Up 3 minutes (healthy)", 3, 0),
            ("Up About an hour", 60, 0),
            ("Up 2 hours", 90, 0),
            ("Up 2 days (Paused)", 47 * 60 + 30, 0),
            ("Up 3 weeks", 24 * 7 * 3 * 60 - 30, 0),
            ("Up 2 months", 24 * 30 * 2 * 60 - 30, 0),
            ("Up 2 years", 24 * 365 * 2 * 60 - 30, 0),
        ] {
            assert_eq!(up(words), Some(Duration::from_secs(minutes * 60 + seconds)), "{words}");
            assert_eq!(exit_code(words), None, "{words}");
        }
    }

    #[test]
    fn unknown_words_say_nothing() {
        for words in ["", "Up", "Up ", "Up for ages", "Up x minutes", "Created", "Exited (0) 3 hours ago", "Dead"] {
            assert_eq!(up(words), None, "{words}");
        }
        for words in ["Exited", "Exited (", "Exited (x) ago", "Created"] {
            assert_eq!(exit_code(words), None, "{words}");
        }
        assert_eq!(exit_code("Exited (137) 3 hours ago"), Some(137));
        assert_eq!(exit_code("Restarting (1) 5 seconds ago"), Some(1));
    }
}
