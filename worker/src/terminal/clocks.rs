//! The timers of a terminal.

use std::time::Duration;

use clawdeploy_shared::rpc::terminal::{FromServer, TerminalEnd};
use tokio::time::Instant;

use crate::config::TerminalLimits;

/// How long output is buffered to wait for more.
const LINGER: Duration = Duration::from_millis(2);
/// How long a client may acknowledge nothing while the program is blocked.
const STALL: Duration = Duration::from_secs(10);
/// Bytes per second read while nobody is attached.
const UNSEEN_RATE: u64 = 4 << 20;
/// Longest notice before a timed end.
const NOTICE: Duration = Duration::from_mins(1);
/// How long sending the last output may take after the program has ended.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Longest time between two checks.
const LATER: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Clocks {
    /// When the last client detached.
    pub(super) detached_at: Option<Instant>,
    /// Since when the program has been blocked.
    pub(super) blocked_at: Option<Instant>,
    /// When buffered output is sent.
    pub(super) flush_at: Option<Instant>,
    /// The earliest next read while nobody is attached.
    pub(super) read_at: Option<Instant>,
    /// When the program ended.
    pub(super) ended_at: Option<Instant>,
    began_at: Instant,
    typed_at: Instant,
    told_of_age: bool,
    told_of_idleness: bool,
}

impl Clocks {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            detached_at: Some(now),
            blocked_at: None,
            flush_at: None,
            read_at: None,
            ended_at: None,
            began_at: now,
            typed_at: now,
            told_of_age: false,
            told_of_idleness: false,
        }
    }

    pub(super) fn attached(&mut self) {
        (self.detached_at, self.blocked_at, self.flush_at, self.read_at) = (None, None, None, None);
        // A new client is warned again.
        (self.told_of_age, self.told_of_idleness) = (false, false);
    }

    pub(super) fn typed(&mut self, now: Instant) {
        (self.typed_at, self.told_of_idleness) = (now, false);
    }

    /// Records a read: sets when to read again and when to send.
    pub(super) fn read(&mut self, now: Instant, bytes: usize, seen: bool, gathers: bool) {
        if !seen {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            self.read_at = Some(now + Duration::from_micros(bytes.saturating_mul(1_000_000) / UNSEEN_RATE));
        } else if gathers && self.flush_at.is_none() {
            self.flush_at = Some(now + LINGER);
        }
    }

    /// Whether the program was blocked for too long.
    pub(super) fn is_stalled(&mut self, now: Instant, goes_on: bool) -> bool {
        if goes_on || self.detached_at.is_some() {
            self.blocked_at = None;
            return false;
        }
        now.duration_since(*self.blocked_at.get_or_insert(now)) >= STALL
    }

    /// Why the terminal must end now, or else a warning to send.
    pub(super) fn due(&mut self, now: Instant, limits: TerminalLimits) -> (Option<TerminalEnd>, Option<FromServer>) {
        let passed = |since: Option<Instant>, limit| since.is_some_and(|since| now.duration_since(since) >= limit);
        if self.ended_at.is_some() {
            // It waits for a client to take its last output.
            let over = passed(self.detached_at, limits.detach) || passed(self.ended_at, limits.detach.max(LAST_WORDS));
            return (over.then_some(TerminalEnd::Exited), None);
        }
        let due = if passed(self.detached_at, limits.detach) {
            Some(TerminalEnd::Detached)
        } else if passed(Some(self.began_at), limits.life) {
            Some(TerminalEnd::Lifetime)
        } else if passed(Some(self.typed_at), limits.idle) {
            Some(TerminalEnd::Idle)
        } else {
            None
        };
        if due.is_some() || self.detached_at.is_some() {
            return (due, None);
        }
        if !self.told_of_age && passed(Some(self.began_at), unwarned(limits.life)) {
            self.told_of_age = true;
            return (None, Some(warning("lifetime", limits.life, "whatever is typed. Open another one")));
        }
        if !self.told_of_idleness && passed(Some(self.typed_at), unwarned(limits.idle)) {
            self.told_of_idleness = true;
            return (None, Some(warning("idle", limits.idle, "because nothing was typed. Press a key to go on")));
        }
        (None, None)
    }

    /// When to check again.
    pub(super) fn next(&self, now: Instant, limits: TerminalLimits, ping_at: Option<Instant>) -> Instant {
        let after = |since: Option<Instant>, limit| since.map(|since| since + limit);
        let notices =
            [(self.began_at, limits.life, self.told_of_age), (self.typed_at, limits.idle, self.told_of_idleness)];
        let notices = notices.map(|(since, limit, told)| {
            let warned = told || self.detached_at.is_some();
            self.ended_at.is_none().then(|| since + if warned { limit } else { unwarned(limit) })
        });
        let others = [
            ping_at,
            // A passed time waits for room, not for a time.
            self.flush_at.filter(|at| *at > now),
            self.read_at.filter(|at| *at > now),
            after(self.blocked_at, STALL),
            after(self.detached_at, limits.detach),
            after(self.ended_at, limits.detach.max(LAST_WORDS)),
        ];
        let dues = others.into_iter().chain(notices).flatten();
        dues.min().unwrap_or(now + LATER).min(now + LATER)
    }
}

/// How long before its end a terminal is warned.
fn notice(limit: Duration) -> Duration {
    NOTICE.min(limit / 2)
}

/// How long a terminal gets no warning about a limit.
fn unwarned(limit: Duration) -> Duration {
    limit.saturating_sub(notice(limit))
}

fn warning(code: &str, limit: Duration, why: &str) -> FromServer {
    let message = format!("This terminal ends in {} s, {why}.", notice(limit).as_secs().max(1));
    FromServer::Warning { code: code.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TerminalLimits = TerminalLimits {
        detach: Duration::from_mins(1),
        idle: Duration::from_mins(30),
        life: Duration::from_hours(12),
    };

    fn clocks() -> (Clocks, Instant) {
        let began = Instant::now();
        let mut clocks = Clocks::new(began);
        clocks.attached();
        (clocks, began)
    }

    fn code(told: &(Option<TerminalEnd>, Option<FromServer>)) -> String {
        match told {
            (Some(end), _) => format!("end {end}"),
            (None, Some(FromServer::Warning { code, .. })) => format!("warning {code}"),
            _ => String::new(),
        }
    }

    #[test]
    fn who_does_not_type_is_warned_once_and_then_ended() {
        let (mut clocks, began) = clocks();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut told = Vec::new();
        for seconds in [0, 1739, 1740, 1741, 1799, 1800] {
            told.push(code(&clocks.due(at(seconds), LIMITS)));
        }
        assert_eq!(told, ["", "", "warning idle", "", "", "end idle"]);
        clocks.typed(at(1790));
        assert_eq!(code(&clocks.due(at(1801), LIMITS)), "");
        assert_eq!(code(&clocks.due(at(3530), LIMITS)), "warning idle");
    }

    #[test]
    fn none_lives_for_ever_or_alone_for_long() {
        let (mut clocks, began) = clocks();
        let at = |seconds| began + Duration::from_secs(seconds);
        clocks.typed(at(43_100));
        assert_eq!(code(&clocks.due(at(43_150), LIMITS)), "warning lifetime");
        assert_eq!(code(&clocks.due(at(43_200), LIMITS)), "end lifetime");
        clocks.detached_at = Some(at(100));
        assert_eq!(code(&clocks.due(at(159), LIMITS)), "");
        assert_eq!(code(&clocks.due(at(160), LIMITS)), "end detached");
        clocks.ended_at = Some(at(120));
        assert_eq!(code(&clocks.due(at(159), LIMITS)), "", "somebody may come for its last words");
        assert_eq!(code(&clocks.due(at(160), LIMITS)), "end exited");
    }

    #[test]
    fn keeping_the_program_waiting_is_borne_for_ten_seconds() {
        let (mut clocks, began) = clocks();
        assert!(!clocks.is_stalled(began, false));
        assert!(!clocks.is_stalled(began + Duration::from_secs(9), false));
        assert!(!clocks.is_stalled(began + Duration::from_secs(9), true), "it went on");
        assert!(!clocks.is_stalled(began + Duration::from_secs(15), false));
        assert!(clocks.is_stalled(began + Duration::from_secs(25), false));
    }

    #[test]
    fn it_is_looked_again_when_something_is_due() {
        let (mut clocks, began) = clocks();
        let next = |clocks: &Clocks| clocks.next(began, LIMITS, None).duration_since(began);
        assert_eq!(next(&clocks), LATER);
        clocks.read(began, 4096, true, true);
        assert_eq!(next(&clocks), LINGER);
        clocks.detached_at = Some(began);
        clocks.flush_at = None;
        clocks.read(began, 1 << 20, false, true);
        assert_eq!(next(&clocks), Duration::from_millis(250));
    }
}
