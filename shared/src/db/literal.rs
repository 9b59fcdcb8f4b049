//! Conditions with words in the statement's text instead of binds.
//!
//! From its sixth execution on, a prepared statement may run with a plan for any value of its binds (a generic plan).
//! Such a plan cannot use an index `WHERE status = 'failed'` for `status = $1`, and reads the whole table instead. A
//! condition on a status or kind that has a partial index is therefore a literal.
//!
//! Diesel's `sql()` does the same, but its statements are prepared anew for each execution. These are kept.

use std::borrow::Cow;

use diesel::{
    AppearsOnTable, Expression, QueryResult, SelectableExpression,
    expression::{ValidGrouping, is_aggregate},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::Bool,
};

/// A condition in SQL without binds. Its columns are qualified by their table.
#[derive(Debug, Clone)]
pub(super) struct Literal(Cow<'static, str>);

impl Literal {
    pub(super) const fn new(sql: &'static str) -> Self {
        Self(Cow::Borrowed(sql))
    }

    /// `column` has one of these words, of which there is at least one. Words of the program itself: nothing is quoted.
    pub(super) fn any_of(column: &str, words: impl IntoIterator<Item = &'static str>) -> Self {
        let words: Vec<_> = words.into_iter().map(|word| format!("'{word}'")).collect();
        Self(Cow::Owned(format!("({column} IN ({}))", words.join(", "))))
    }
}

impl Expression for Literal {
    type SqlType = Bool;
}

impl QueryFragment<Pg> for Literal {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&self.0);
        Ok(())
    }
}

/// Statements are told apart by their text.
impl QueryId for Literal {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<QS> SelectableExpression<QS> for Literal {}

impl<QS> AppearsOnTable<QS> for Literal {}

impl<GB> ValidGrouping<GB> for Literal {
    type IsAggregate = is_aggregate::Never;
}
