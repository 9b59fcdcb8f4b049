//! The source `git`: a repository with its own Dockerfile, at one commit.
//!
//! Objects are fetched at depth one into a separate directory and packed for the engine straight from there. Nothing is
//! checked out, so no hook, filter, submodule or link of the repository is ever followed.

use std::path::{Path, PathBuf};

use clawdeploy_shared::openclaw::git_ref::GitRef;
use git2::{Oid, Repository, RepositoryOpenFlags};
use tempfile::TempDir;
use url::Url;

use super::{error::BuildError, output::Output, protocol, remote::Remote};

/// A repository and a reference in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    pub repository: Url,
    pub reference: GitRef,
    /// Also allow this machine (`file:`) and private networks.
    pub allow_private: bool,
    /// Directory for fetched objects and the packed context while they are needed: `/tmp` may be in memory.
    pub dir: PathBuf,
}

/// A repository's objects, and a directory for the build's files that is removed with this.
pub(super) struct Fetched {
    pub(super) repository: PathBuf,
    pub(super) dir: TempDir,
}

impl GitSource {
    /// The commit that the reference names now.
    pub(super) async fn commit(&self) -> Result<Oid, BuildError> {
        if let Some(path) = self.local()? {
            let (place, reference) = (self.repository.to_string(), self.reference.clone());
            return blocking(move || local_commit(&path, &reference, &place)).await;
        }
        let remote = Remote::resolve(&self.repository, self.allow_private).await?;
        match self.reference.commit() {
            Some(commit) => Ok(Oid::from_str(commit)?),
            None => protocol::find_ref(&remote, &self.reference).await?.ok_or_else(|| self.missing()),
        }
    }

    /// Fetches the objects of a commit.
    pub(super) async fn fetch(&self, commit: Oid, output: &mut Output) -> Result<Fetched, BuildError> {
        let dir = self.fresh_dir().await?;
        if let Some(path) = self.local()? {
            return Ok(Fetched { repository: path, dir });
        }
        output.line(&format!("Fetching {commit} from {}", self.repository)).await;
        let remote = Remote::resolve(&self.repository, self.allow_private).await?;
        let pack = dir.path().join("fetched.pack");
        let size = protocol::fetch(&remote, commit, &pack).await?;
        output.line(&format!("Received {} KiB", size.div_ceil(1024))).await;
        let repository = dir.path().join("repository.git");
        let into = repository.clone();
        blocking(move || unpack(&into, &pack)).await?;
        Ok(Fetched { repository, dir })
    }

    /// An empty directory. Removes what a killed build left.
    async fn fresh_dir(&self) -> Result<TempDir, BuildError> {
        let dir = self.dir.clone();
        blocking(move || {
            // One build runs at a time, so nobody uses what is here.
            #[expect(clippy::disallowed_methods, reason = "no tenant has a way into this directory")]
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            std::fs::create_dir_all(&dir)?;
            Ok(tempfile::Builder::new().prefix("build-").tempdir_in(&dir)?)
        })
        .await
    }

    /// Path of a repository on this machine. `None`: it is elsewhere.
    fn local(&self) -> Result<Option<PathBuf>, BuildError> {
        if self.repository.scheme() != "file" {
            return Ok(None);
        }
        if !self.allow_private {
            let why = "a repository on this machine needs CLAWDEPLOY_SOURCE_ALLOW_PRIVATE";
            return Err(BuildError::Refused(why.to_owned()));
        }
        let bad = |()| BuildError::Refused(format!("{} is not a path", self.repository));
        self.repository.to_file_path().map(Some).map_err(bad)
    }

    fn missing(&self) -> BuildError {
        BuildError::NoSuchSource { what: self.reference.to_string(), place: self.repository.to_string() }
    }
}

/// Runs blocking work to its end.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    tokio::task::spawn_blocking(work).await.map_err(BuildError::Panicked)?
}

/// Opens a repository at exactly this path.
pub(super) fn open(path: &Path) -> Result<Repository, git2::Error> {
    let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT | RepositoryOpenFlags::BARE;
    Repository::open_ext(path, flags, std::iter::empty::<&Path>()).or_else(|_| Repository::open(path))
}

fn local_commit(path: &Path, reference: &GitRef, place: &str) -> Result<Oid, BuildError> {
    let fetch = |error: git2::Error| BuildError::Fetch {
        place: place.to_owned(),
        why: error.message().to_owned(),
        transient: false,
    };
    let repository = open(path).map_err(fetch)?;
    if let Some(commit) = reference.commit() {
        return Ok(repository.find_commit(Oid::from_str(commit)?).map_err(fetch)?.id());
    }
    for name in reference.candidates() {
        if let Ok(found) = repository.find_reference(&name) {
            return Ok(found.peel_to_commit().map_err(fetch)?.id());
        }
    }
    Err(BuildError::NoSuchSource { what: reference.to_string(), place: place.to_owned() })
}

/// Makes a repository from a pack and checks every object against its name.
fn unpack(repository: &Path, pack: &Path) -> Result<(), BuildError> {
    let repository = Repository::init_bare(repository)?;
    let odb = repository.odb()?;
    let mut writer = odb.packwriter()?;
    std::io::copy(&mut std::fs::File::open(pack)?, &mut writer)?;
    writer.commit()?;
    std::fs::remove_file(pack)?;
    Ok(())
}
