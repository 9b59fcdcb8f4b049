//! Checks a foreign Dockerfile before the engine sees it.

use std::fmt;

use super::error::BuildError;

/// The builder that a Dockerfile needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// The classic builder, which every engine has and whose memory can be limited.
    Classic,
    /// BuildKit of engines since 19.03.
    BuildKit(&'static str),
    /// BuildKit of engines since 23.0.
    NewBuildKit(&'static str),
}

impl Needs {
    /// Whether an engine of this version has it.
    pub(super) fn met_by(self, engine: &str) -> bool {
        let mut numbers = engine.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        match self {
            Self::Classic => true,
            Self::BuildKit(_) => version >= (19, 3),
            Self::NewBuildKit(_) => version >= (23, 0),
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic => f.write_str("any Docker engine"),
            Self::BuildKit(what) => write!(f, "BuildKit for {what}: Docker 19.03 or newer"),
            Self::NewBuildKit(what) => write!(f, "a newer BuildKit for {what}: Docker 23.0 or newer"),
        }
    }
}

/// Checks a Dockerfile and refuses one that would let foreign code run the build.
pub(super) fn look(dockerfile: &str) -> Result<Needs, BuildError> {
    let text = dockerfile.trim_start_matches('\u{feff}');
    if text.lines().any(names_a_front_end) {
        let why = "its Dockerfile names a front end of its own (# syntax=, BUILDKIT_SYNTAX), which would let \
                   foreign code run the build";
        return Err(BuildError::Refused(why.to_owned()));
    }
    Ok(instructions(text).iter().map(|instruction| needs(instruction)).max().unwrap_or(Needs::Classic))
}

/// On any line, because engines differ in how far they read directives.
fn names_a_front_end(line: &str) -> bool {
    let line: String = line.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let comment = line.strip_prefix('#').or_else(|| line.strip_prefix("//"));
    comment.is_some_and(|comment| comment.starts_with("syntax="))
        || line.starts_with("{\"syntax\"")
        || line.contains("buildkit_syntax")
}

/// The instructions, with continued lines joined and comments removed.
fn instructions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && current.is_empty()) {
            continue;
        }
        if let Some(more) = line.strip_suffix('\\') {
            current.push_str(more);
            current.push(' ');
            continue;
        }
        current.push_str(line);
        found.push(std::mem::take(&mut current));
    }
    if !current.is_empty() {
        found.push(current);
    }
    found
}

fn needs(instruction: &str) -> Needs {
    let mut words = instruction.split_whitespace();
    let name = words.next().unwrap_or_default().to_ascii_uppercase();
    let flags: Vec<&str> = words.take_while(|word| word.starts_with("--")).collect();
    let has = |flag: &str| flags.iter().any(|given| given.split('=').next() == Some(flag));
    if matches!(name.as_str(), "RUN" | "COPY" | "ADD") && is_heredoc(instruction) {
        return Needs::NewBuildKit("here-documents");
    }
    match name.as_str() {
        "RUN" if has("--mount") => Needs::BuildKit("RUN --mount"),
        "RUN" if has("--network") || has("--security") => Needs::BuildKit("RUN --network"),
        "COPY" | "ADD" if has("--link") => Needs::NewBuildKit("COPY --link"),
        "COPY" | "ADD" if has("--parents") || has("--exclude") => Needs::NewBuildKit("COPY --parents"),
        "ADD" if has("--checksum") || has("--keep-git-dir") => Needs::NewBuildKit("ADD --checksum"),
        "COPY" | "ADD" if has("--chmod") => Needs::BuildKit("COPY --chmod"),
        _ => Needs::Classic,
    }
}

/// `<<WORD`, `<<-WORD` or `<<"WORD"` at the beginning of a word. `<<<` belongs to the shell.
fn is_heredoc(instruction: &str) -> bool {
    instruction.split_whitespace().any(|word| {
        let Some(rest) = word.strip_prefix("<<") else { return false };
        let rest = rest.strip_prefix('-').unwrap_or(rest).trim_start_matches(['"', '\'']);
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    })
}

/// The Dockerfile with a label after each `FROM`. The classic builder keeps an image for each step, and without the
/// label those of a failed build could not be told from foreign ones.
pub(super) fn marked(dockerfile: &str, label: &str) -> String {
    let mut out = String::with_capacity(dockerfile.len() + 128);
    let (mut in_from, mut continued) = (false, false);
    for line in dockerfile.lines() {
        let trimmed = line.trim();
        let comment = trimmed.starts_with('#');
        if !continued && !comment {
            let word = trimmed.split_whitespace().next().unwrap_or_default();
            in_from = word.eq_ignore_ascii_case("FROM");
        }
        out.push_str(line);
        out.push('\n');
        if comment || (continued && trimmed.is_empty()) {
            continue;
        }
        continued = trimmed.ends_with('\\');
        if in_from && !continued {
            out.push_str(label);
            out.push('\n');
            in_from = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_buildkit() {
        for (text, wanted) in [
            ("FROM x\nRUN a << 1 && b <<< c\nCOPY --from=a --chown=1 b c\n", Needs::Classic),
            ("FROM x\n# RUN --mount=type=cache a\nRUN echo --mount=x", Needs::Classic),
            ("FROM x\nRUN --mount=type=cache,target=/c \\\n  a\n", Needs::BuildKit("RUN --mount")),
            ("FROM x\nrun \\\n  --mount=type=cache,target=/c a\n", Needs::BuildKit("RUN --mount")),
            ("FROM x\nCOPY --chmod=755 a b", Needs::BuildKit("COPY --chmod")),
            ("FROM x\nRUN --mount=type=tmpfs,target=/c a\nCOPY --link a b", Needs::NewBuildKit("COPY --link")),
            ("FROM x\nRUN <<EOF\na\nEOF\n", Needs::NewBuildKit("here-documents")),
            ("FROM x\nCOPY <<-\"EOF\" /a\nb\nEOF\n", Needs::NewBuildKit("here-documents")),
        ] {
            assert_eq!(look(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn engines() {
        for (engine, builds, builds_new) in [
            ("20.10.24+dfsg1", true, false),
            ("18.09.1", false, false),
            ("23.0.0-rc.1", true, true),
            ("", false, false),
        ] {
            assert_eq!(Needs::BuildKit("").met_by(engine), builds, "{engine}");
            assert_eq!(Needs::NewBuildKit("").met_by(engine), builds_new, "{engine}");
        }
    }

    #[test]
    fn a_foreign_front_end_is_refused() {
        for bad in [
            "# syntax=evil/x\nFROM x",
            "#syntax = evil/x\nFROM x",
            "\u{feff}# SYNTAX=evil\nFROM x",
            "#!/x\n// syntax=evil\nFROM x",
            "{\"syntax\": \"evil\"}",
            "FROM x\nARG BUILDKIT_SYNTAX=evil",
        ] {
            assert!(matches!(look(bad), Err(BuildError::Refused(_))), "{bad}");
        }
        assert!(look("# the syntax of this file\nFROM x").is_ok());
    }

    #[test]
    fn each_stage_is_marked() {
        let marked = marked("ARG A\nFROM a \\\n# why\n  AS b\nRUN c \\\n  FROM d\nfrom b\n", "LABEL x=y");
        assert_eq!(marked, "ARG A\nFROM a \\\n# why\n  AS b\nLABEL x=y\nRUN c \\\n  FROM d\nfrom b\nLABEL x=y\n");
    }
}
