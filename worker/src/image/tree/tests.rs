use std::collections::BTreeMap;

use git2::{ObjectType, Signature};
use tempfile::TempDir;

use super::*;

const SMALL: Caps = Caps { entries: 10, file_bytes: 1000, total_bytes: 2500, depth: 4 };

/// A repository whose trees are written as raw objects, because git refuses most of them.
struct Repo(Repository, #[expect(dead_code, reason = "the directory goes with it")] TempDir);

impl Repo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self(Repository::init_bare(dir.path()).unwrap(), dir)
    }

    fn blob(&self, text: &[u8]) -> Oid {
        self.0.odb().unwrap().write(ObjectType::Blob, text).unwrap()
    }

    fn tree(&self, entries: &[(&str, &str, Oid)]) -> Oid {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            raw.extend_from_slice(id.as_bytes());
        }
        self.0.odb().unwrap().write(ObjectType::Tree, &raw).unwrap()
    }

    /// A commit with these entries and a Dockerfile.
    fn commit(&self, entries: &[(&str, &str, Oid)]) -> Oid {
        let mut all = vec![("100644", "Dockerfile", self.blob(b"FROM scratch\nCOPY . /\n"))];
        all.extend_from_slice(entries);
        self.commit_of(self.tree(&all))
    }

    fn commit_of(&self, tree: Oid) -> Oid {
        let who = Signature::now("a", "a@example.org").unwrap();
        let raw = format!(
            "tree {tree}\nauthor {0} <{1}> 0 +0000\ncommitter {0} <{1}> 0 +0000\n\nx\n",
            who.name().unwrap(),
            who.email().unwrap()
        );
        self.0.odb().unwrap().write(ObjectType::Commit, raw.as_bytes()).unwrap()
    }

    fn pack(&self, commit: Oid) -> Result<BTreeMap<String, String>, BuildError> {
        let context = pack(&self.0, commit, "LABEL a=b", SMALL, tempfile::tempfile()?)?;
        let mut archive = tar::Archive::new(context.archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            let link = entry.link_name().unwrap().map(|to| to.display().to_string()).unwrap_or_default();
            let path = entry.path().unwrap().display().to_string();
            (path, format!("{:o} {text}{link}", entry.header().mode().unwrap()))
        });
        Ok(entries.collect())
    }

    fn refusal(&self, entries: &[(&str, &str, Oid)]) -> String {
        match self.pack(self.commit(entries)) {
            Err(BuildError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_tree_becomes_a_context() {
    let repo = Repo::new();
    let below = repo.tree(&[("100755", "run", repo.blob(b"go")), ("120000", "up", repo.blob(b"../Dockerfile"))]);
    let commit = repo.commit(&[("40000", "bin", below), ("100644", "é", repo.blob(b"text"))]);
    let packed = repo.pack(commit).unwrap();
    let wanted = [
        ("Dockerfile", "644 FROM scratch\nLABEL a=b\nCOPY . /\n"),
        ("bin", "755 "),
        ("bin/run", "755 go"),
        ("bin/up", "777 ../Dockerfile"),
        ("é", "644 text"),
    ];
    assert_eq!(packed, wanted.map(|(path, what)| (path.to_owned(), what.to_owned())).into());
    assert_eq!(repo.pack(commit).unwrap(), packed);
}

#[test]
fn what_reaches_out_is_refused() {
    let repo = Repo::new();
    let (blob, link) = (repo.blob(b"x"), |to: &str| repo.blob(to.as_bytes()));
    for to in ["/etc", "../x", "a/../../x", "bin/../..", ""] {
        assert!(repo.refusal(&[("120000", "l", link(to))]).contains("out of the repository"), "{to}");
    }
    for name in ["..", ".", "a/b", "/etc", ".git", ".GIT", "git~1"] {
        assert!(repo.refusal(&[("100644", name, blob)]).contains("is not a valid file name"), "{name}");
    }
    let below = repo.tree(&[("100644", "..", blob)]);
    assert!(repo.refusal(&[("40000", "d", below)]).contains("is not a valid file name"));
    assert!(repo.refusal(&[("160000", "sub", blob)]).contains("submodule"));
}

/// The engine unpacks entries one after the other, so the last of a name would replace the one that was checked.
#[test]
fn a_name_that_is_there_twice_is_refused() {
    let repo = Repo::new();
    let (blob, link) = (repo.blob(b"x"), repo.blob(b"other"));
    assert!(repo.refusal(&[("120000", "Dockerfile", link)]).contains("Dockerfile is there twice"));
    let below = repo.tree(&[("100644", "a", blob), ("100644", "b", blob), ("100644", "a", blob)]);
    assert!(repo.refusal(&[("40000", "d", below)]).contains("d/a is there twice"));
}

#[test]
fn what_is_too_much_is_refused() {
    let repo = Repo::new();
    let blob = repo.blob(b"x");
    let names: Vec<String> = (0..11).map(|n| format!("f{n:02}")).collect();
    let many: Vec<_> = names.iter().map(|name| ("100644", name.as_str(), blob)).collect();
    assert_eq!(repo.refusal(&many), "it has more than 10 files");
    assert!(repo.refusal(&[("100644", "large", repo.blob(&[b'x'; 1001]))]).contains("large has 0 MiB"));
    let most = repo.blob(&[b'x'; 1000]);
    let all = [("100644", "a", most), ("100644", "b", most), ("100644", "c", most)];
    assert!(repo.refusal(&all).contains("in total"));
    let mut deep = repo.tree(&[("100644", "x", blob)]);
    for _ in 0..5 {
        deep = repo.tree(&[("40000", "d", deep)]);
    }
    assert!(repo.refusal(&[("40000", "d", deep)]).contains("nested"));
}

#[test]
fn a_dockerfile_there_must_be_and_a_plain_one() {
    let repo = Repo::new();
    let of = |entries: &[(&str, &str, Oid)]| repo.pack(repo.commit_of(repo.tree(entries))).unwrap_err().to_string();
    assert!(of(&[("100644", "x", repo.blob(b"x"))]).contains("no Dockerfile"));
    assert!(of(&[("120000", "Dockerfile", repo.blob(b"x"))]).contains("not a plain file"));
    assert!(of(&[("100644", "Dockerfile", repo.blob(b"# syntax=evil/x\nFROM x"))]).contains("front end"));
}

#[test]
fn the_version_is_that_of_the_package() {
    let repo = Repo::new();
    let of =
        |text: &str| version(&repo.0, repo.commit(&[("100644", "package.json", repo.blob(text.as_bytes()))])).unwrap();
    assert_eq!(of(r#"{"version":"2026.9.6"}"#).unwrap().as_str(), "2026.9.6");
    for none in [r#"{"version":"latest"}"#, "{}", "no json", r#"{"version":1}"#] {
        assert!(of(none).is_none(), "{none}");
    }
    assert!(version(&repo.0, repo.commit(&[])).unwrap().is_none());
}
