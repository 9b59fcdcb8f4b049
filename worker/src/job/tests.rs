//! Checks that no step writes past the fence.

use std::{fs, path::Path};

/// Sources of the steps and of the code that runs them. All their writes are on behalf of a job.
const IN_A_JOBS_NAME: [&str; 6] =
    ["steps", "job", "engine/forward.rs", "engine/undo.rs", "engine/end.rs", "engine/runner.rs"];

/// Rust files under a path, each with its text.
fn sources(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect();
    }
    vec![(path.display().to_string(), fs::read_to_string(path).unwrap())]
}

/// Queries whose body writes, as `table::query(`.
fn writes() -> Vec<String> {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src/db");
    let mut found = Vec::new();
    for (path, text) in sources(&tables) {
        let table = Path::new(&path).file_stem().unwrap().to_str().unwrap().to_owned();
        // Imported under another name.
        let names = if table == "image" { vec!["builds".to_owned(), table] } else { vec![table] };
        for query in text.split("\npub async fn ").skip(1) {
            let body = &query[..query.find("\n}\n").unwrap_or(query.len())];
            let writes =
                ["diesel::update(", "diesel::insert_into(", "diesel::delete(", "UPDATE ", "INSERT ", "DELETE "];
            if writes.iter().any(|word| body.contains(word)) {
                let name = query.split(['(', '<']).next().unwrap();
                found.extend(names.iter().map(|table| format!("{table}::{name}(")));
            }
        }
    }
    found
}

#[test]
fn what_is_written_in_a_jobs_name_is_fenced() {
    let writes = writes();
    assert!(writes.len() > 50, "{writes:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (path, text) in IN_A_JOBS_NAME.iter().flat_map(|part| sources(&root.join(part))) {
        for write in &writes {
            for (at, _) in text.match_indices(write.as_str()) {
                // The end of a longer name.
                if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                seen += 1;
                let arguments = text[at + write.len()..].trim_start();
                let arguments = arguments.split(';').next().unwrap();
                // `conn` comes from `fenced`; a query that is given the lease checks it itself; a function that is
                // given the whole `cx` is a step's own function of the same name.
                let fenced =
                    arguments.starts_with("conn,") || arguments.contains("lease") || arguments.starts_with("cx");
                assert!(fenced, "{path}: {write}{arguments}; does not go through `JobContext::fenced`");
            }
        }
    }
    assert!(seen > 30, "{seen}");
}
