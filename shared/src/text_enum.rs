//! Enums with one word for each variant in Postgres, JSON, logs and the OpenAPI document.
//!
//! During an upgrade, an older program reads rows that a newer one has written, with words that it does not know. An
//! enum that ends with `else Unknown` reads such a word as `Unknown`, so that one row does not make others unreadable.
//! `Unknown` is shown as `unknown`, cannot be requested and is never written back: the word in the database stays.
//! Enums without it refuse the row. That is right for rights (roles, scopes of tokens), where an unknown word must
//! grant nothing.

/// A word that the enum does not have.
#[derive(Debug, thiserror::Error)]
#[error("{value:?} is not a {what}")]
pub struct UnknownWord {
    pub what: &'static str,
    pub value: String,
}

/// An attempt to write `Unknown` to the database.
#[derive(Debug, thiserror::Error)]
#[error("a {0} that this version does not know cannot be written")]
pub struct UnknownWritten(pub &'static str);

/// Defines an enum whose variants are stored and shown as the given words.
#[macro_export]
macro_rules! text_enum {
    (@parse $name:ident { $($variant:ident = $word:tt),+ }) => {
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result { f.pad(self.as_str()) }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::text_enum::UnknownWord;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::text_enum::UnknownWord { what: stringify!($name), value: s.to_owned() }),
                }
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:tt),+ $(,)? } else $other:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize,
                 ::utoipa::ToSchema, ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = ::diesel::sql_types::Text)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+
            /// A word of a newer version.
            #[serde(rename = "unknown", skip_deserializing)]
            $other,
        }

        impl $name {
            /// Every variant that this version knows, in order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The variant's word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ Self::$other => "unknown" }
            }
        }

        $crate::text_enum!(@parse $name { $($variant = $word),+ });

        impl ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut ::diesel::serialize::Output<'b, '_, ::diesel::pg::Pg>) -> ::diesel::serialize::Result {
                if *self == Self::$other {
                    return Err($crate::text_enum::UnknownWritten(stringify!($name)).into());
                }
                <str as ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg>>::to_sql(self.as_str(), out)
            }
        }

        impl ::diesel::deserialize::FromSql<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            fn from_sql(value: ::diesel::pg::PgValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let word = <String as ::diesel::deserialize::FromSql<::diesel::sql_types::Text, ::diesel::pg::Pg>>::from_sql(value)?;
                Ok(word.parse().unwrap_or(Self::$other))
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:tt),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize,
                 ::utoipa::ToSchema, ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = ::diesel::sql_types::Text)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every variant, in order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The variant's word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        $crate::text_enum!(@parse $name { $($variant = $word),+ });

        impl ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut ::diesel::serialize::Output<'b, '_, ::diesel::pg::Pg>) -> ::diesel::serialize::Result {
                <str as ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg>>::to_sql(self.as_str(), out)
            }
        }

        impl ::diesel::deserialize::FromSql<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            fn from_sql(value: ::diesel::pg::PgValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let word = <String as ::diesel::deserialize::FromSql<::diesel::sql_types::Text, ::diesel::pg::Pg>>::from_sql(value)?;
                Ok(word.parse()?)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::{
        db::user::Role,
        instance::InstanceStatus,
        job::{JobEventKind, JobKind},
    };

    #[test]
    fn a_word_that_is_not_known_cannot_be_asked_for() {
        assert_eq!(JobKind::Unknown.as_str(), "unknown");
        assert!("unknown".parse::<JobKind>().is_err());
        assert!(serde_json::from_str::<JobKind>("\"unknown\"").is_err());
        assert!(!JobKind::ALL.contains(&JobKind::Unknown));
        assert!(!InstanceStatus::ALL.contains(&InstanceStatus::Unknown));
        assert_eq!(serde_json::to_value(JobEventKind::Unknown).unwrap(), "unknown");
    }

    #[test]
    fn rights_have_no_unknown_word() {
        assert!("auditor".parse::<Role>().is_err());
        assert!(Role::ALL.iter().all(|role| role.as_str() != "unknown"));
    }
}
