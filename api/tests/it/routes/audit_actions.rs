//! Every audit action has a name in the UI.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clawdeploy_tests::programs::workspace_root;

/// Strings of the same form that are not actions.
const OTHERS: [&str; 1] = ["instance.json"];

/// Rust sources below a directory, without tests.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) =
        entries.filter(|path| !path.ends_with("tests")).partition(|p| p.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.chain(directories.iter().flat_map(|dir| sources(dir))).collect()
}

/// Whether it has the form `noun.verb`.
fn is_action(word: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    word.split_once('.').is_some_and(|(noun, verb)| part(noun) && part(verb))
}

/// Quoted strings, each with the text before it.
fn quoted(text: &str, quote: char) -> impl Iterator<Item = (&str, &str)> {
    let parts: Vec<&str> = text.split(quote).collect();
    (1..parts.len()).map(move |n| (parts[n - 1], parts[n]))
}

#[test]
fn every_action_has_a_name_and_every_name_an_action() {
    let root = workspace_root();
    let texts = std::fs::read_to_string(root.join("api/web/src/texts/en/activity.ts")).unwrap();
    let named: BTreeSet<&str> = quoted(&texts, '\'').map(|(_, word)| word).filter(|word| is_action(word)).collect();
    let nouns: BTreeSet<&str> = named.iter().filter_map(|action| Some(action.split_once('.')?.0)).collect();
    let mut written = BTreeSet::new();
    for file in ["api/src", "worker/src", "shared/src"].iter().flat_map(|dir| sources(&root.join(dir))) {
        let source = std::fs::read_to_string(file).unwrap();
        for (before, word) in quoted(&source, '"').filter(|(_, word)| is_action(word)) {
            let told = before.ends_with("action: ") || before.ends_with("Entry::new(");
            if (told || nouns.contains(word.split_once('.').unwrap().0)) && !OTHERS.contains(&word) {
                written.insert(word.to_owned());
            }
        }
    }
    assert!(written.len() > 40, "the sources are read in another way now: {written:?}");
    let nameless: Vec<_> = written.iter().filter(|action| !named.contains(action.as_str())).collect();
    assert_eq!(nameless, Vec::<&String>::new(), "say in texts/*/activity.ts what they are called");
    let unused: Vec<_> = named.iter().filter(|action| !written.contains(**action)).collect();
    assert_eq!(unused, Vec::<&&str>::new(), "nothing writes them any more");
}
