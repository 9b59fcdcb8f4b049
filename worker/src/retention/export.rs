//! Writes a month of the audit log to a file: compressed, one JSON object a line, named like the partition.
//!
//! The file appears with its final name only when all of it is on disk. A file of that name with other contents is
//! never replaced: it may be the only copy of the log of an earlier database.

use std::{
    fs::{File, Permissions},
    io::{self, BufWriter, Read as _, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use clawdeploy_shared::db::audit_partition::{self, Export, Line, OldPartition};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{Pass, RetentionError};

/// Entries read at once.
const PAGE: i64 = 5000;

/// Writes a partition to a file in a directory, records that, and returns the file's path. `None`: the run is over.
pub(super) async fn write(
    pass: &mut Pass<'_>,
    partition: &OldPartition,
    directory: &Path,
) -> Result<Option<String>, RetentionError> {
    let path = directory.join(format!("{}.ndjson.gz", partition.partition));
    let file = path.display().to_string();
    let failed = |source| RetentionError::File { file: file.clone(), source };
    let mut draft = blocking({
        let directory = directory.to_owned();
        move || Draft::create(&directory)
    })
    .await
    .map_err(failed)?;
    let (mut after, mut entries) = (i64::MIN, 0);
    loop {
        if pass.is_over().await? {
            return Ok(None);
        }
        let lines = audit_partition::lines(&mut *pass.db.conn().await?, partition, after, PAGE).await?;
        let Some(last) = lines.last() else { break };
        (after, entries) = (last.id, entries + i64::try_from(lines.len()).unwrap_or_default());
        draft = blocking(move || draft.add(&lines)).await.map_err(failed)?;
    }
    let sha256 = match blocking(move || draft.finish(&path)).await.map_err(failed)? {
        Finished::Written(sha256) => sha256,
        Finished::Different => return Err(RetentionError::Exists(file)),
    };
    let export = Export { file: file.clone(), sha256, entries };
    audit_partition::note_export(&mut *pass.db.conn().await?, pass.worker, partition, &export).await?;
    Ok(Some(file))
}

/// Runs file operations where they block nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A file that is not complete yet. It is removed when dropped.
struct Draft(GzEncoder<BufWriter<NamedTempFile>>);

enum Finished {
    /// With its SHA-256.
    Written(Vec<u8>),
    /// A file of this name exists and differs.
    Different,
}

impl Draft {
    /// With mode 0600: it holds addresses of people.
    fn create(directory: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(".audit")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(directory)?;
        // Without a time in its header, equal contents make equal files.
        Ok(Self(GzBuilder::new().write(BufWriter::new(file), Compression::default())))
    }

    fn add(mut self, lines: &[Line]) -> io::Result<Self> {
        for line in lines {
            self.0.write_all(line.json.as_bytes())?;
            self.0.write_all(b"\n")?;
        }
        Ok(self)
    }

    /// Puts it in its place, with everything on disk.
    fn finish(self, path: &Path) -> io::Result<Finished> {
        let file = self.0.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        let sha256 = sha256(file.path())?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            // A run wrote it and was interrupted before it was recorded.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                if self::sha256(path)? != sha256 {
                    return Ok(Finished::Different);
                }
            }
            Err(error) => return Err(error.error),
        }
        // The directory as well, or the name is lost with the power.
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Finished::Written(sha256))
    }
}

fn sha256(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, mut hash, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finalize().to_vec()),
            count => hash.update(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    fn written(directory: &Path, text: &str) -> Finished {
        let line = Line { id: 1, json: text.to_owned() };
        let draft = Draft::create(directory).unwrap().add(&[line]).unwrap();
        draft.finish(&directory.join("audit_2026_01.ndjson.gz")).unwrap()
    }

    #[test]
    fn a_file_is_whole_private_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit_2026_01.ndjson.gz");
        assert!(matches!(written(directory.path(), "{\"id\":1}"), Finished::Written(_)));
        assert_eq!(File::open(&path).unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let mut text = String::new();
        GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "{\"id\":1}\n");
        // The same again, as after an interruption, and something else.
        assert!(matches!(written(directory.path(), "{\"id\":1}"), Finished::Written(_)));
        assert!(matches!(written(directory.path(), "{\"id\":2}"), Finished::Different));
        let names = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, 1, "a draft was left");
    }
}
