//! Decides what follows from the three identities, and words it for people.

use std::path::{Path, PathBuf};

use clawdeploy_shared::{
    db::{
        Conn, DbError, installation,
        installation::{Installation, StandbyCode},
    },
    ids::InstanceId,
    telemetry::chain,
};

use crate::{
    config::InstanceArgs,
    storage::{Mark, StorageError},
};

/// Why a worker stands by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    pub code: StandbyCode,
    /// For people, with what to do.
    pub message: String,
}

/// How a directory and a database relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    Bound(Mark),
    /// Neither is bound yet.
    Open,
    Not(StandbyCode),
}

/// Decides from the database's row and the directory's file.
pub(crate) fn binding(row: Option<&Installation>, mark: Option<&Mark>) -> Binding {
    match (row, mark) {
        (None, None) => Binding::Open,
        (Some(row), None) if row.data_dir.is_none() => Binding::Open,
        (Some(_), None) => Binding::Not(StandbyCode::WrongDataDir),
        (None, Some(_)) => Binding::Not(StandbyCode::WrongDatabase),
        (Some(row), Some(mark)) if row.id != mark.installation => Binding::Not(StandbyCode::WrongDatabase),
        (Some(row), Some(mark)) => match row.data_dir {
            // A worker wrote the file but did not get to record it.
            None => Binding::Open,
            Some(bound) if bound == mark.data_dir => Binding::Bound(*mark),
            Some(_) => Binding::Not(StandbyCode::WrongDataDir),
        },
    }
}

/// The content of the database and the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Instances in the database.
    pub(crate) instances: i64,
    /// Whether one of them had a container, so that its files must be somewhere.
    pub(crate) had_containers: bool,
    /// Instances with a directory.
    pub(crate) directories: Vec<InstanceId>,
    /// Those of them in the database.
    pub(crate) known: Vec<InstanceId>,
}

impl Facts {
    pub(crate) async fn gather(conn: &mut Conn, directories: Vec<InstanceId>) -> Result<Self, DbError> {
        Ok(Self {
            instances: installation::count_instances(conn).await?,
            had_containers: installation::has_files_somewhere(conn).await?,
            known: installation::known_among(conn, &directories).await?,
            directories,
        })
    }

    /// Why an unbound directory and database are not bound automatically.
    pub(crate) fn doubt(&self) -> Option<StandbyCode> {
        if !self.directories.is_empty() && self.known.is_empty() {
            Some(StandbyCode::WrongDatabase)
        } else if self.directories.is_empty() && self.had_containers {
            Some(StandbyCode::WrongDataDir)
        } else {
            None
        }
    }
}

/// The worker's settings for the three.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    data_dir: PathBuf,
    docker_host: String,
}

impl Place {
    pub(crate) fn of(args: &InstanceArgs) -> Self {
        Self { data_dir: args.data_dir.clone(), docker_host: args.docker_host.clone() }
    }

    pub(crate) fn standby(&self, code: StandbyCode, what: &str) -> Standby {
        let mistake = match code {
            StandbyCode::WrongDatabase => {
                "If this is the wrong database, correct CLAWDEPLOY_DATABASE_URL and restart the worker."
            }
            StandbyCode::WrongDataDir => {
                "If a disk is not mounted, mount it. If this is the wrong directory, correct CLAWDEPLOY_DATA_DIR \
                 and restart the worker."
            }
            StandbyCode::WrongEngine => {
                "If this is the wrong engine, correct CLAWDEPLOY_DOCKER_HOST and restart the worker."
            }
            StandbyCode::DataDirUnreadable => "Check the disk and the file .identity in the directory.",
        };
        let message = format!(
            "{what} {mistake} To bind them to each other, run this with the worker's settings: {}",
            self.command()
        );
        Standby { code, message }
    }

    /// The command that binds what this worker was given.
    fn command(&self) -> String {
        let data_dir = quoted(&self.data_dir.display().to_string());
        format!("clawdeploy-worker adopt --data-dir {data_dir} --docker-host {}", quoted(&self.docker_host))
    }

    pub(crate) fn unreadable(&self, error: &StorageError) -> Standby {
        let what =
            format!("The identity of the data directory {} cannot be read: {}.", self.data_dir.display(), chain(error));
        self.standby(StandbyCode::DataDirUnreadable, &what)
    }

    /// For a directory and a database that are bound to others.
    pub(crate) fn mismatch(&self, code: StandbyCode, row: Option<&Installation>, mark: Option<&Mark>) -> Standby {
        let dir: &Path = &self.data_dir;
        let what = match (code, row, mark) {
            (StandbyCode::WrongDatabase, Some(row), Some(mark)) => format!(
                "The data directory {} belongs to installation {}, but the database belongs to installation {}.",
                dir.display(),
                mark.installation,
                row.id
            ),
            (StandbyCode::WrongDatabase, _, Some(mark)) => format!(
                "The data directory {} belongs to installation {}, but the database belongs to none yet.",
                dir.display(),
                mark.installation
            ),
            (_, _, Some(_)) => {
                format!("This installation uses another data directory than {}.", dir.display())
            }
            (_, _, None) => format!(
                "The data directory {} has no identity, and the database is bound to another directory.",
                dir.display()
            ),
        };
        self.standby(code, &what)
    }

    /// For an unbound directory and database whose contents do not fit.
    pub(crate) fn doubtful(&self, code: StandbyCode, facts: &Facts) -> Standby {
        let dir = self.data_dir.display();
        let what = if code == StandbyCode::WrongDataDir {
            format!("The data directory {dir} is empty, but the database has {} instances.", facts.instances)
        } else {
            format!(
                "The data directory {dir} holds {} instances, none of which is in the database.",
                facts.directories.len()
            )
        };
        self.standby(code, &what)
    }

    pub(crate) fn other_engine(&self, bound: &str, found: &str) -> Standby {
        let what = format!(
            "The Docker engine at {} has the id {found}, but this installation uses the engine {bound}.",
            self.docker_host
        );
        self.standby(StandbyCode::WrongEngine, &what)
    }
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clawdeploy_shared::ids::{DataDirId, InstallationId};

    use super::*;

    fn row(id: u128, data_dir: Option<u128>) -> Installation {
        let uuid = uuid::Uuid::from_u128;
        Installation { id: InstallationId(uuid(id)), data_dir: data_dir.map(|dir| DataDirId(uuid(dir))), engine: None }
    }

    fn mark(id: u128, data_dir: u128) -> Mark {
        let uuid = uuid::Uuid::from_u128;
        Mark { installation: InstallationId(uuid(id)), data_dir: DataDirId(uuid(data_dir)) }
    }

    #[test]
    fn what_two_that_know_each_other_or_others_come_to() {
        use StandbyCode::{WrongDataDir, WrongDatabase};
        let table = [
            (None, None, Binding::Open),
            (Some(row(1, None)), None, Binding::Open),
            (Some(row(1, None)), Some(mark(1, 7)), Binding::Open),
            (Some(row(1, Some(7))), Some(mark(1, 7)), Binding::Bound(mark(1, 7))),
            (Some(row(1, Some(7))), Some(mark(1, 8)), Binding::Not(WrongDataDir)),
            (Some(row(1, Some(7))), None, Binding::Not(WrongDataDir)),
            (Some(row(1, Some(7))), Some(mark(2, 7)), Binding::Not(WrongDatabase)),
            (Some(row(1, None)), Some(mark(2, 7)), Binding::Not(WrongDatabase)),
            (None, Some(mark(2, 7)), Binding::Not(WrongDatabase)),
        ];
        for (row, mark, want) in table {
            assert_eq!(binding(row.as_ref(), mark.as_ref()), want, "{row:?} {mark:?}");
        }
    }

    #[test]
    fn what_does_not_know_each_other_is_bound_only_where_it_plainly_belongs_together() {
        let ids: Vec<InstanceId> = (0..3).map(|_| InstanceId::random()).collect();
        let doubt = |instances, had_containers, directories: usize, known: usize| {
            let (directories, known) = (ids[..directories].to_vec(), ids[..known].to_vec());
            Facts { instances, had_containers, directories, known }.doubt()
        };
        assert_eq!(doubt(0, false, 0, 0), None, "both are empty");
        assert_eq!(doubt(2, false, 0, 0), None, "nothing was provisioned yet");
        assert_eq!(doubt(5, true, 3, 1), None, "one is known");
        assert_eq!(doubt(0, false, 3, 0), Some(StandbyCode::WrongDatabase));
        assert_eq!(doubt(5, true, 1, 0), Some(StandbyCode::WrongDatabase));
        assert_eq!(doubt(5, true, 0, 0), Some(StandbyCode::WrongDataDir), "a disk that is not mounted");
    }

    #[test]
    fn the_command_can_be_pasted() {
        let place = |dir: &str| Place { data_dir: dir.into(), docker_host: "unix:///var/run/docker.sock".into() };
        assert_eq!(
            place("/data/clawdeploy").command(),
            "clawdeploy-worker adopt --data-dir /data/clawdeploy --docker-host unix:///var/run/docker.sock"
        );
        assert!(place("/data/it's; here").command().contains(r"--data-dir '/data/it'\''s; here' "));
    }
}
