//! Ids are parsed types: an outside string becomes one of these or an error.

use std::{fmt, str::FromStr};

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, Output, ToSql},
    sql_types,
};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A string that is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct InvalidId(pub &'static str);

/// Id of an instance: twelve characters of `[a-z0-9]`, the first a letter.
///
/// It is a DNS label, a directory name and part of a container name, and needs no escaping in any of them.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, AsExpression, FromSqlRow, ToSchema,
)]
#[diesel(sql_type = sql_types::Text)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z][a-z0-9]{11}$", example = "k3v9q0x2m7ab")]
pub struct InstanceId(String);

impl InstanceId {
    const LENGTH: usize = 12;

    /// A new random id. There are 26 · 36¹¹ of them, so the primary key is enough to catch a clash.
    pub fn random() -> Self {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut rng = rand::rng();
        let id = (0..Self::LENGTH)
            .map(|i| char::from(LETTERS[rng.random_range(0..if i == 0 { 26 } else { LETTERS.len() })]))
            .collect();
        Self(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the instance's container.
    pub fn container_name(&self) -> String {
        format!("claw-{self}")
    }
}

impl FromStr for InstanceId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let starts_with_letter = s.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let all_allowed = s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if s.len() == Self::LENGTH && starts_with_letter && all_allowed {
            Ok(Self(s.to_owned()))
        } else {
            Err(InvalidId("instance id"))
        }
    }
}

impl TryFrom<String> for InstanceId {
    type Error = InvalidId;
    fn try_from(s: String) -> Result<Self, InvalidId> {
        s.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToSql<sql_types::Text, Pg> for InstanceId {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<sql_types::Text, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<sql_types::Text, Pg> for InstanceId {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(<String as FromSql<sql_types::Text, Pg>>::from_sql(value)?.parse()?)
    }
}

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, AsExpression, FromSqlRow, ToSchema)]
        #[diesel(sql_type = sql_types::Uuid)]
        #[serde(transparent)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A new id, ordered by time (UUIDv7).
            pub fn generate() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(s: &str) -> Result<Self, InvalidId> {
                uuid::Uuid::from_str(s).map(Self).map_err(|_| InvalidId($what))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ToSql<sql_types::Uuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <uuid::Uuid as ToSql<sql_types::Uuid, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<sql_types::Uuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <uuid::Uuid as FromSql<sql_types::Uuid, Pg>>::from_sql(value).map(Self)
            }
        }
    };
}

uuid_id!(
    /// Id of a job.
    JobId,
    "job id"
);
uuid_id!(
    /// Id of a person.
    UserId,
    "user id"
);
uuid_id!(
    /// Id of an API token (not the token itself).
    TokenId,
    "token id"
);
uuid_id!(
    /// Id of a browser session (not the content of its cookie).
    SessionId,
    "session id"
);
uuid_id!(
    /// Id of one build of the shared image.
    ImageBuildId,
    "image build id"
);
uuid_id!(
    /// Id of a terminal.
    TerminalId,
    "terminal id"
);
uuid_id!(
    /// Id of an installation: of its database and of everything bound to it.
    InstallationId,
    "installation id"
);
uuid_id!(
    /// Id of a data directory.
    DataDirId,
    "data directory id"
);
uuid_id!(
    /// Id of a snapshot from before a change.
    SnapshotId,
    "snapshot id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_parse() {
        for _ in 0..1000 {
            let id = InstanceId::random();
            assert_eq!(id.as_str().parse::<InstanceId>(), Ok(id));
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for bad in [
            "",
            "abc",
            "0bcdefghijkl",
            "Abcdefghijkl",
            "abcdefghijk-",
            "abcdefghijklm",
            "../../../etc",
            "abcdefghijk\n",
            "abcdefghijké",
        ] {
            assert_eq!(bad.parse::<InstanceId>(), Err(InvalidId("instance id")), "{bad:?}");
        }
    }
}
