//! The output of a build, as followed by its reader.

use std::collections::{HashMap, VecDeque};

use tokio::sync::mpsc;

use super::buildkit::{Trace, Vertex};
use crate::runtime::printed::{Lines, clean, redact, shorten};

/// Lines shown with a failure.
const TAIL_LINES: usize = 30;
/// Most bytes of output passed on for one build. A runaway installer could otherwise fill the database.
const TOTAL_CAP: usize = 2 * 1024 * 1024;

/// One update about a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildUpdate {
    /// A line of output without control characters.
    Line(String),
    /// The current step and the progress: 0 at the first, below 100 until the end.
    Step { percent: u8, title: String },
    /// Id prefix of an image that the classic builder made for a step. Cached ones are not reported.
    StepImage(String),
}

/// Parses the engine's output and passes it on.
#[derive(Debug)]
pub(super) struct Output {
    updates: mpsc::Sender<BuildUpdate>,
    secrets: Vec<String>,
    lines: Lines,
    tail: VecDeque<String>,
    step: Option<String>,
    passed_on: usize,
    vertices: HashMap<String, Vertex>,
    vertex_lines: HashMap<String, Lines>,
    percent: u8,
    made: StepImages,
}

impl Output {
    pub(super) fn new(updates: mpsc::Sender<BuildUpdate>, secrets: Vec<String>) -> Self {
        Self {
            updates,
            secrets,
            lines: Lines::default(),
            tail: VecDeque::new(),
            step: None,
            passed_on: 0,
            vertices: HashMap::new(),
            vertex_lines: HashMap::new(),
            percent: 0,
            made: StepImages::default(),
        }
    }

    /// Takes a chunk of the engine's output, cut anywhere.
    pub(super) async fn push(&mut self, piece: &str) {
        let mut complete = Vec::new();
        self.lines.push(piece.as_bytes(), |line| complete.push(line));
        for line in complete {
            if let Some(id) = self.made.read(&line) {
                self.send(BuildUpdate::StepImage(id)).await;
            }
            self.line(&line).await;
        }
    }

    /// Takes a BuildKit message.
    pub(super) async fn trace(&mut self, trace: Trace) {
        let changed: Vec<(Vertex, Vertex)> = trace
            .vertices
            .into_iter()
            .map(|vertex| (self.vertices.insert(vertex.digest.clone(), vertex.clone()).unwrap_or_default(), vertex))
            .collect();
        // The builder's internal work comes before the steps of the Dockerfile are known.
        let steps = || self.vertices.values().filter(|vertex| vertex.name.starts_with('[') && !vertex.is_internal());
        let done = steps().filter(|vertex| vertex.completed).count();
        self.percent = self.percent.max(percent(done, steps().count()));
        for (before, vertex) in changed {
            let (begins, ends) = (vertex.started && !before.started, vertex.completed && !before.completed);
            if begins {
                let title = self.presentable(&vertex.name);
                self.begin(title.clone()).await;
                self.line(&title).await;
            }
            if ends && vertex.cached {
                self.line(" ---> Using cache").await;
            }
            if !vertex.error.is_empty() {
                // Other steps may have begun since.
                self.step = Some(format!("step {}", short(&self.presentable(&vertex.name))));
            }
        }
        for log in trace.logs {
            let mut complete = Vec::new();
            self.vertex_lines.entry(log.vertex).or_default().push(&log.bytes, |line| complete.push(line));
            for line in complete {
                self.line(&line).await;
            }
        }
    }

    /// Takes one complete line.
    pub(super) async fn line(&mut self, line: &str) {
        let line = self.presentable(line);
        if let Some(step) = Step::parse(&line) {
            // The build of a further layer begins at its own first step.
            self.percent = self.percent.max(percent(step.number - 1, step.of));
            self.begin(line.clone()).await;
            self.step = Some(format!("step {}/{} ({})", step.number, step.of, step.instruction));
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
                self.send(BuildUpdate::Line("… the rest of the output is omitted".to_owned())).await;
            }
        }
    }

    /// The current step, for people, and its last lines. Further output belongs to another build.
    pub(super) fn end(&mut self) -> (String, Vec<String>) {
        (self.step.take().unwrap_or_else(|| "the start".to_owned()), std::mem::take(&mut self.tail).into())
    }

    async fn begin(&mut self, title: String) {
        self.tail.clear();
        self.step = Some(format!("step {}", short(&title)));
        self.send(BuildUpdate::Step { percent: self.percent, title: short(&title).to_owned() }).await;
    }

    fn presentable(&self, line: &str) -> String {
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        shorten(&redact(&clean(line), &secrets)).trim_end().to_owned()
    }

    /// A missing receiver does not stop the build.
    async fn send(&self, update: BuildUpdate) {
        let _ = self.updates.send(update).await;
    }
}

fn percent(done: usize, of: usize) -> u8 {
    u8::try_from(done * 100 / of.max(1)).unwrap_or(99).min(99)
}

/// An instruction can be a whole script. Its first words identify it.
fn short(instruction: &str) -> &str {
    instruction.char_indices().nth(60).map_or(instruction, |(end, _)| &instruction[..end])
}

/// The engine's messages about its own containers and layers, which explain no failure.
fn is_bookkeeping(line: &str) -> bool {
    line.starts_with(" ---> ") || line.starts_with("Removing intermediate container ")
}

/// Finds the images of steps in the classic builder's output.
///
/// A command in the Dockerfile can print such a line too. That is harmless: an image is only removed if it carries our
/// label, has no name, and nothing was made from it.
#[derive(Debug, Default)]
struct StepImages {
    /// Whether the next id existed before: a base image's or a cached one.
    found: bool,
}

impl StepImages {
    fn read(&mut self, line: &str) -> Option<String> {
        if let Some(step) = Step::parse(line) {
            self.found = step.instruction.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("FROM "));
        }
        let said = line.strip_prefix(" ---> ")?.trim_end();
        if said == "Using cache" {
            self.found = true;
        }
        let is_id = said.len() == 12 && said.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_id && !self.found).then(|| said.to_owned())
    }
}

/// `Step 3/9 : RUN …`, the classic builder's announcement of an instruction.
struct Step<'a> {
    number: usize,
    of: usize,
    instruction: &'a str,
}

impl<'a> Step<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (count, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
        let (number, of) = count.split_once('/')?;
        let (number, of) = (number.parse().ok()?, of.parse().ok()?);
        (1 <= number && number <= of).then_some(Self { number, of, instruction: short(instruction) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_steps_are_told_from_what_was_there_before() {
        let mut images = StepImages::default();
        let output = [
            "Step 1/4 : FROM node:24 AS base",
            " ---> 0123456789ab",
            "Step 2/4 : RUN one",
            " ---> Using cache",
            " ---> 1123456789ab",
            "Step 3/4 : RUN two",
            " ---> Running in 9999456789ab",
            "Removing intermediate container 9999456789ab",
            " ---> 2123456789ab",
            "Step 4/4 : COPY from /",
            " ---> 3123456789ab",
            "Successfully built 3123456789ab",
        ];
        let made: Vec<_> = output.iter().filter_map(|line| images.read(line)).collect();
        assert_eq!(made, ["2123456789ab", "3123456789ab"]);
    }

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
        drop(output);
        assert_eq!(step, "step 3/4 (RUN y)");
        assert_eq!(tail, ["Step 3/4 : RUN y", "done •••"]);
        let mut seen = Vec::new();
        while let Some(update) = updates.recv().await {
            seen.push(update);
        }
        let line = |text: &str| BuildUpdate::Line(text.to_owned());
        let step = |percent, title: &str| BuildUpdate::Step { percent, title: title.to_owned() };
        assert_eq!(
            seen,
            [
                step(0, "Step 1/4 : FROM x"),
                line("Step 1/4 : FROM x"),
                step(50, "Step 3/4 : RUN y"),
                line("Step 3/4 : RUN y"),
                line("done •••")
            ]
        );
    }

    #[tokio::test]
    async fn the_build_of_a_further_layer_does_not_go_back() {
        let (sender, mut updates) = mpsc::channel(100);
        let mut output = Output::new(sender, Vec::new());
        for line in ["Step 4/5 : RUN x", "Step 1/5 : FROM y", "Step 5/5 : RUN z"] {
            output.line(line).await;
        }
        drop(output);
        let mut percents = Vec::new();
        while let Some(update) = updates.recv().await {
            if let BuildUpdate::Step { percent, .. } = update {
                percents.push(percent);
            }
        }
        assert_eq!(percents, [60, 60, 80]);
    }

    #[tokio::test]
    async fn a_flood_is_cut_but_the_end_is_kept() {
        let (sender, mut updates) = mpsc::channel(10_000);
        let mut output = Output::new(sender, Vec::new());
        for i in 0..5000 {
            output.line(&format!("{i} {}", "x".repeat(1000))).await;
        }
        let (_, tail) = output.end();
        drop(output);
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

    #[tokio::test]
    async fn buildkit_tells_the_same() {
        let (sender, mut updates) = mpsc::channel(100);
        let mut output = Output::new(sender, Vec::new());
        let vertex = |name: &str, started, completed| Vertex {
            digest: name.to_owned(),
            name: name.to_owned(),
            started,
            completed,
            ..Vertex::default()
        };
        let said = |vertex: &str, text: &str| super::super::buildkit::Log {
            vertex: vertex.to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let all = [vertex("[1/2] FROM x", true, true), vertex("[2/2] RUN y", false, false)];
        output.trace(Trace { vertices: all.into(), logs: Vec::new() }).await;
        output.trace(Trace { vertices: vec![vertex("[2/2] RUN y", true, false)], logs: Vec::new() }).await;
        for piece in ["a li", "ne\nand"] {
            output.trace(Trace { vertices: Vec::new(), logs: vec![said("[2/2] RUN y", piece)] }).await;
        }
        let (step, tail) = output.end();
        drop(output);
        assert_eq!((step.as_str(), tail), ("step [2/2] RUN y", vec!["[2/2] RUN y".to_owned(), "a line".to_owned()]));
        let mut percents = Vec::new();
        while let Some(update) = updates.recv().await {
            if let BuildUpdate::Step { percent, .. } = update {
                percents.push(percent);
            }
        }
        assert_eq!(percents, [50, 50]);
    }
}
