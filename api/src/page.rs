//! Pagination of lists. A cursor holds the key of the last row, not an offset. So rows that are added or removed in
//! between do not repeat other rows, and late pages are as fast as the first one.

use chrono::{DateTime, Utc};
use clawdeploy_shared::ids::{InstanceId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{AppError, AppResult, ErrorCode};

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null: this is the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A list that always fits on one page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// Builds a page from at most one row more than the page shows. `key` gives the cursor of a row.
    pub fn cut<R, K: Cursor>(mut rows: Vec<R>, limit: Limit, key: impl Fn(&R) -> K, view: impl FnMut(R) -> T) -> Self {
        let more = rows.len() > limit.shown();
        rows.truncate(limit.shown());
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(&key(last)));
        Self { items: rows.into_iter().map(view).collect(), next_cursor }
    }

    /// If this is the last page of what was searched, but not everything was: the next one continues after this key.
    #[must_use]
    pub fn or_continue_at(mut self, searched_to: Option<impl Cursor>) -> Self {
        self.next_cursor = self.next_cursor.or_else(|| searched_to.map(|key| encode(&key)));
        self
    }
}

/// Query parameters of a paginated list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PageQuery {
    /// Maximum number of items
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub limit: Option<i64>,
    /// `nextCursor` of the previous page
    pub cursor: Option<String>,
}

impl PageQuery {
    /// Validates the parameters. Returns the page size and the key after which the page begins.
    pub fn read<K: Cursor>(&self) -> AppResult<(Limit, Option<K>)> {
        let limit = Limit::new(self.limit)?;
        let after = self.cursor.as_deref().map(|text| {
            decode(text).ok_or_else(|| {
                let detail = "cursor is not valid for this list; omit it to start at the first page.";
                AppError::new(ErrorCode::InvalidQuery, detail).with_field(
                    "cursor",
                    "invalid",
                    "is not a cursor of this list",
                )
            })
        });
        Ok((limit, after.transpose()?))
    }
}

/// A page size within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(i64);

impl Limit {
    fn new(asked: Option<i64>) -> AppResult<Self> {
        let limit = asked.unwrap_or(DEFAULT_LIMIT);
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(Self(limit));
        }
        let message = format!("must be from 1 to {MAX_LIMIT}");
        Err(AppError::new(ErrorCode::InvalidQuery, format!("limit {message}.")).with_field(
            "limit",
            "out_of_range",
            message,
        ))
    }

    fn shown(self) -> usize {
        usize::try_from(self.0).unwrap_or_default()
    }

    /// How many rows to fetch. The one row more than the page shows tells whether there is a next page.
    pub fn fetched(self) -> i64 {
        self.0 + 1
    }
}

/// The key of a page's last row. Clients get it as an opaque string.
pub trait Cursor: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

impl Cursor for i64 {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Cursor for UserId {
    fn write(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Cursor for (DateTime<Utc>, InstanceId) {
    fn write(&self) -> String {
        format!("{}.{}", self.0.timestamp_micros(), self.1)
    }

    fn read(text: &str) -> Option<Self> {
        let (micros, id) = text.split_once('.')?;
        Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
    }
}

fn encode(key: &impl Cursor) -> String {
    hex::encode(key.write())
}

fn decode<K: Cursor>(text: &str) -> Option<K> {
    K::read(&String::from_utf8(hex::decode(text).ok()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(limit: Option<i64>, cursor: Option<&str>) -> PageQuery {
        PageQuery { limit, cursor: cursor.map(str::to_owned) }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let id = InstanceId::random();
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        let (_, after) = query(None, Some(&encode(&(at, id.clone())))).read().unwrap();
        assert_eq!(after, Some((at, id)));
        let (_, after) = query(None, Some(&encode(&-7_i64))).read::<i64>().unwrap();
        assert_eq!(after, Some(-7));
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for bad in ["", "zz", "7", "616263", &encode(&5_i64), &"00".repeat(40)] {
            let error = query(None, Some(bad)).read::<(DateTime<Utc>, InstanceId)>().unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidQuery, "{bad:?}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(query(None, None).read::<i64>().unwrap().0.fetched(), 51);
        assert_eq!(query(Some(100), None).read::<i64>().unwrap().0.fetched(), 101);
        for bad in [0, -1, 101, i64::MAX] {
            assert!(query(Some(bad), None).read::<i64>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_search_that_was_cut_short_has_a_next_page() {
        let page = |rows: Vec<i64>| Page::cut(rows, Limit(2), |row| *row, |row| row);
        assert_eq!(page(vec![]).or_continue_at(Some(7_i64)).next_cursor, Some(encode(&7_i64)));
        assert_eq!(page(vec![3]).or_continue_at(None::<i64>).next_cursor, None);
        assert_eq!(page(vec![3, 2, 1]).or_continue_at(None::<i64>).next_cursor, Some(encode(&2_i64)));
    }

    #[test]
    fn only_a_full_page_with_more_behind_it_has_a_next_one() {
        let page = |rows: Vec<i64>| Page::cut(rows, Limit(2), |row| *row, |row| row);
        assert_eq!(page(vec![3, 2]).next_cursor, None);
        let cut = page(vec![3, 2, 1]);
        assert_eq!((cut.items, cut.next_cursor), (vec![3, 2], Some(encode(&2_i64))));
    }
}
