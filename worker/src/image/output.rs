//! The output of a build, as it is followed by whoever watches.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::docker::logs::{Lines, clean, redact, shorten};

/// Lines that go with a failure.
const TAIL_LINES: usize = 30;
/// Most that is passed on of one build, in bytes; an installer gone wild could fill the database.
const TOTAL_CAP: usize = 2 * 1024 * 1024;

/// One thing to tell about a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildUpdate {
    /// A line of output, free of control characters.
    Line(String),
    /// How far the build is, by its steps: 0 at the first, below 100 until it is done.
    Percent(u8),
}

/// Takes the engine's output apart and passes it on.
pub(super) struct Output {
    updates: mpsc::Sender<BuildUpdate>,
    secrets: Vec<String>,
    lines: Lines,
    tail: VecDeque<String>,
    step: Option<String>,
    passed_on: usize,
}

impl Output {
    pub(super) fn new(updates: mpsc::Sender<BuildUpdate>, secrets: Vec<String>) -> Self {
        Self { updates, secrets, lines: Lines::default(), tail: VecDeque::new(), step: None, passed_on: 0 }
    }

    /// Takes a piece of the engine's output, which may begin and end anywhere.
    pub(super) async fn push(&mut self, piece: &str) {
        let mut complete = Vec::new();
        self.lines.push(piece.as_bytes(), |line| complete.push(line));
        for line in complete {
            self.line(&line).await;
        }
    }

    /// Takes one whole line.
    pub(super) async fn line(&mut self, line: &str) {
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        let line = shorten(&redact(&clean(line), &secrets)).trim_end().to_owned();
        if let Some(step) = Step::parse(&line) {
            self.step = Some(format!("step {}/{} ({})", step.number, step.of, step.instruction));
            self.send(BuildUpdate::Percent(step.percent())).await;
            self.tail.clear();
        }
        if line.is_empty() {
            return;
        }
        if !is_bookkeeping(&line) {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        let room = self.passed_on < TOTAL_CAP;
        self.passed_on += line.len();
        if room {
            let last = self.passed_on >= TOTAL_CAP;
            self.send(BuildUpdate::Line(line)).await;
            if last {
                self.send(BuildUpdate::Line("… the rest of the output is left out".to_owned())).await;
            }
        }
    }

    /// The step that was under way, for a person to read, and its last lines.
    pub(super) fn end(self) -> (String, Vec<String>) {
        (self.step.unwrap_or_else(|| "its beginning".to_owned()), self.tail.into())
    }

    /// Nobody listening is no reason to stop building.
    async fn send(&self, update: BuildUpdate) {
        let _ = self.updates.send(update).await;
    }
}

/// What the engine says about its own containers and layers, which explains no failure.
fn is_bookkeeping(line: &str) -> bool {
    line.starts_with(" ---> ") || line.starts_with("Removing intermediate container ")
}

/// `Step 3/9 : RUN …`, with which the classic builder announces each instruction.
struct Step<'a> {
    number: u32,
    of: u32,
    instruction: &'a str,
}

impl<'a> Step<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (count, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
        let (number, of) = count.split_once('/')?;
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        // An instruction can be a whole script; its first words say which one it is.
        let short = instruction.char_indices().nth(60).map_or(instruction, |(end, _)| &instruction[..end]);
        (1 <= number && number <= of).then_some(Self { number, of, instruction: short })
    }

    fn percent(&self) -> u8 {
        u8::try_from((self.number - 1) * 100 / self.of).unwrap_or(99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steps_become_percents_and_pieces_become_lines() {
        let (sender, mut updates) = mpsc::channel(100);
        let mut output = Output::new(sender, vec!["hunter2hunter2".to_owned()]);
        for piece in
            ["Step 1/4 : FROM x\n", "Step 3/4 :", " RUN y\n", "\u{1b}[1mdone\u{1b}[0m hunter2hunter2\n\n", "rest"]
        {
            output.push(piece).await;
        }
        let (step, tail) = output.end();
        assert_eq!(step, "step 3/4 (RUN y)");
        assert_eq!(tail, ["Step 3/4 : RUN y", "done •••"]);
        let mut seen = Vec::new();
        while let Some(update) = updates.recv().await {
            seen.push(update);
        }
        let line = |text: &str| BuildUpdate::Line(text.to_owned());
        assert_eq!(
            seen,
            [
                BuildUpdate::Percent(0),
                line("Step 1/4 : FROM x"),
                BuildUpdate::Percent(50),
                line("Step 3/4 : RUN y"),
                line("done •••")
            ]
        );
    }

    #[tokio::test]
    async fn a_flood_is_cut_but_the_end_is_kept() {
        let (sender, mut updates) = mpsc::channel(10_000);
        let mut output = Output::new(sender, Vec::new());
        for i in 0..5000 {
            output.line(&format!("{i} {}", "x".repeat(1000))).await;
        }
        let (_, tail) = output.end();
        assert!(tail.last().unwrap().starts_with("4999 "));
        let mut passed_on = 0;
        while let Some(update) = updates.recv().await {
            if let BuildUpdate::Line(line) = update {
                passed_on += line.len();
            }
        }
        assert!(passed_on < TOTAL_CAP + 4000);
    }

    #[test]
    fn what_only_looks_like_a_step_is_none() {
        for bad in ["Step", "Step 0/4 : x", "Step 5/4 : x", "Step a/4 : x", "step 1/4 : x", "Step 1/4"] {
            assert!(Step::parse(bad).is_none(), "{bad:?}");
        }
    }
}
