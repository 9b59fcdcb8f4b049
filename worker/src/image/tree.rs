//! Packs a commit's tree as a build context: a tar archive made only from git objects.
//!
//! Anything that could reach out of the tree or is not content is refused: links that lead out, names with a path in
//! them, names that are there twice, `.git`, submodules. Sizes are checked before anything is read.

use std::{
    collections::HashSet,
    io::{Seek as _, SeekFrom, Write},
};

use clawdeploy_shared::openclaw::version::OpenclawVersion;
use git2::{ObjectType, Odb, Oid, Repository, Tree};
use tar::{Builder, EntryType, Header};

use super::{
    dockerfile::{self, Needs},
    error::BuildError,
};

/// Limits of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub(super) entries: usize,
    pub(super) file_bytes: u64,
    pub(super) total_bytes: u64,
    pub(super) depth: usize,
}

pub(super) const CAPS: Caps = Caps { entries: 100_000, file_bytes: 128 << 20, total_bytes: 1 << 30, depth: 64 };

const DOCKERFILE: &str = "Dockerfile";
const PACKAGE: &str = "package.json";
/// Most bytes read of an inspected file.
const TEXT_CAP: u64 = 1 << 20;
const LONGEST_PATH: usize = 4000;

/// A context ready to build.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) archive: std::fs::File,
    pub(super) needs: Needs,
    pub(super) files: usize,
    pub(super) bytes: u64,
}

fn refused(why: impl Into<String>) -> BuildError {
    BuildError::Refused(why.into())
}

/// The version in a commit's `package.json`.
pub(super) fn version(repository: &Repository, commit: Oid) -> Result<Option<OpenclawVersion>, BuildError> {
    let tree = repository.find_commit(commit)?.tree()?;
    let Some(text) = text(&repository.odb()?, &tree, PACKAGE)? else { return Ok(None) };
    let version = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|package| package.get("version").and_then(serde_json::Value::as_str).map(OpenclawVersion::parse));
    Ok(version.and_then(Result::ok))
}

/// Packs a commit into `archive`. `label` is added to the Dockerfile if the classic builder builds it.
pub(super) fn pack(
    repository: &Repository,
    commit: Oid,
    label: &str,
    caps: Caps,
    archive: std::fs::File,
) -> Result<Context, BuildError> {
    let tree = repository.find_commit(commit)?.tree()?;
    let odb = repository.odb()?;
    let recipe = text(&odb, &tree, DOCKERFILE)?.ok_or_else(|| refused("it has no Dockerfile at its top"))?;
    let needs = dockerfile::look(&recipe)?;
    let recipe = if needs == Needs::Classic { dockerfile::marked(&recipe, label) } else { recipe };
    let out = std::io::BufWriter::new(archive);
    let mut packer = Packer { repository, odb, caps, archive: Builder::new(out), recipe, entries: 0, bytes: 0 };
    packer.tree(&tree, "", 0)?;
    let (files, bytes) = (packer.entries, packer.bytes);
    let mut archive = packer.archive.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    archive.flush()?;
    archive.seek(SeekFrom::Start(0))?;
    Ok(Context { archive, needs, files, bytes })
}

/// A text file at the top of a tree.
fn text(odb: &Odb<'_>, tree: &Tree<'_>, name: &str) -> Result<Option<String>, BuildError> {
    // Searched linearly: a tree that is out of order would hide entries from a binary search.
    let Some(entry) = tree.iter().find(|entry| entry.name_bytes() == name.as_bytes()) else { return Ok(None) };
    if !matches!(entry.filemode(), 0o100_644 | 0o100_755) {
        return Err(refused(format!("its {name} is not a plain file")));
    }
    let (size, _) = odb.read_header(entry.id())?;
    if size as u64 > TEXT_CAP {
        return Err(refused(format!("its {name} is larger than {} KiB", TEXT_CAP >> 10)));
    }
    Ok(Some(String::from_utf8_lossy(odb.read(entry.id())?.data()).into_owned()))
}

struct Packer<'a, W: Write> {
    repository: &'a Repository,
    odb: Odb<'a>,
    caps: Caps,
    archive: Builder<W>,
    /// The replacement for the Dockerfile.
    recipe: String,
    entries: usize,
    bytes: u64,
}

impl<W: Write> Packer<'_, W> {
    fn tree(&mut self, tree: &Tree<'_>, above: &str, depth: usize) -> Result<(), BuildError> {
        if depth > self.caps.depth {
            return Err(refused(format!("its directories are nested more than {} deep", self.caps.depth)));
        }
        let mut names = HashSet::new();
        for entry in tree {
            self.entries += 1;
            if self.entries > self.caps.entries {
                return Err(refused(format!("it has more than {} files", self.caps.entries)));
            }
            let path = join(above, name(entry.name_bytes())?)?;
            if !names.insert(entry.name_bytes().to_vec()) {
                return Err(refused(format!("{path} is there twice")));
            }
            match entry.filemode() {
                0o040_000 => {
                    self.append(EntryType::Directory, 0o755, &path, &[])?;
                    let below = self.repository.find_tree(entry.id())?;
                    self.tree(&below, &path, depth + 1)?;
                }
                // Old versions of git wrote the second mode.
                0o100_644 | 0o100_664 => self.file(&path, entry.id(), 0o644)?,
                0o100_755 => self.file(&path, entry.id(), 0o755)?,
                0o120_000 => self.link(&path, entry.id())?,
                0o160_000 => {
                    return Err(refused(format!("{path} is a submodule, whose content is in another repository")));
                }
                other => return Err(refused(format!("{path} has an unknown mode ({other:o})"))),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, id: Oid, mode: u32) -> Result<(), BuildError> {
        let size = self.size(path, id, self.caps.file_bytes)?;
        self.bytes += size;
        if self.bytes > self.caps.total_bytes {
            return Err(refused(format!("its files are larger than {} MiB in total", self.caps.total_bytes >> 20)));
        }
        if path == DOCKERFILE {
            let recipe = self.recipe.clone();
            return self.append(EntryType::Regular, mode, path, recipe.as_bytes());
        }
        let object = self.odb.read(id)?;
        let mut header = header(EntryType::Regular, mode);
        header.set_size(object.data().len() as u64);
        Ok(self.archive.append_data(&mut header, path, object.data())?)
    }

    fn link(&mut self, path: &str, id: Oid) -> Result<(), BuildError> {
        self.size(path, id, LONGEST_PATH as u64)?;
        let object = self.odb.read(id)?;
        let target = std::str::from_utf8(object.data()).map_err(|_| {
            refused(format!(
                "{path} is a link whose target \
                                                                                     is not UTF-8"
            ))
        })?;
        if !stays_inside(path, target) {
            return Err(refused(format!("{path} links to {target:?}, out of the repository")));
        }
        let mut header = header(EntryType::Symlink, 0o777);
        header.set_size(0);
        Ok(self.archive.append_link(&mut header, path, target)?)
    }

    /// Size of a file, before it is read.
    fn size(&self, path: &str, id: Oid, cap: u64) -> Result<u64, BuildError> {
        let (size, kind) = self.odb.read_header(id)?;
        if kind != ObjectType::Blob {
            return Err(refused(format!("{path} is not a file, although its mode says so")));
        }
        if size as u64 > cap {
            return Err(refused(format!("{path} has {} MiB, more than {} MiB", size >> 20, cap >> 20)));
        }
        Ok(size as u64)
    }

    fn append(&mut self, kind: EntryType, mode: u32, path: &str, data: &[u8]) -> Result<(), BuildError> {
        let mut header = header(kind, mode);
        header.set_size(data.len() as u64);
        Ok(self.archive.append_data(&mut header, path, data)?)
    }
}

/// Equal for equal content, whenever it is packed.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A single file name that is not one of git's own.
fn name(bytes: &[u8]) -> Result<&str, BuildError> {
    let name = std::str::from_utf8(bytes)
        .map_err(|_| refused(format!("the name {:?} is not UTF-8", String::from_utf8_lossy(bytes))))?;
    let own = name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1");
    if name.is_empty() || name == "." || name == ".." || own || name.contains(['/', '\0']) {
        return Err(refused(format!("{name:?} is not a valid file name")));
    }
    Ok(name)
}

fn join(above: &str, name: &str) -> Result<String, BuildError> {
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
    if path.len() > LONGEST_PATH { Err(refused("a path in it is too long")) } else { Ok(path) }
}

/// Whether a link at `path` stays below the top, judged by names alone.
fn stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut depth = path.matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests;
