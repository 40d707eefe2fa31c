//! Saved views: the state of the page, under a name.

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, micros};

/// Most views of an app for everyone, and of a user in an app.
pub const MAX_VIEWS: usize = 100;
/// Longest name, in bytes.
pub const MAX_VIEW_NAME: usize = 100;
/// Longest query, in bytes.
pub const MAX_VIEW_QUERY: usize = 2 * 1024;

/// A saved view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its name, unique among those of its scope.
    pub name: String,
    /// The query string of the page, without `?`.
    pub query: String,
    /// Whether the page opens with it.
    pub default: bool,
    /// The user who saved it last.
    pub by: String,
    /// When it was first saved.
    #[serde(with = "micros")]
    pub created_at: Timestamp,
}

/// Whose views they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewOwner {
    /// A user's own.
    User(String),
    /// Those of everyone who may read the app.
    App,
}

/// Why a view cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The name.
    #[error("must have from 1 to {MAX_VIEW_NAME} bytes, no `/` and no control characters")]
    Name,
    /// The query.
    #[error("must be a query string of at most {MAX_VIEW_QUERY} bytes, without `?` and `#`, percent-encoded")]
    Query,
}

/// Checks the name of a view.
///
/// # Errors
/// Where no view can have it.
pub fn check_view_name(name: &str) -> Result<(), ViewError> {
    let good =
        !name.trim().is_empty() && name.len() <= MAX_VIEW_NAME && !name.contains(|c: char| c == '/' || c.is_control());
    good.then_some(()).ok_or(ViewError::Name)
}

/// Checks the query of a view.
///
/// # Errors
/// Where it cannot stand in a URL as it is.
pub fn check_view_query(query: &str) -> Result<(), ViewError> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'#' | b'"' | b'<' | b'>' | b'\\' | b'`');
    let good = query.len() <= MAX_VIEW_QUERY && !query.starts_with('?') && query.bytes().all(is_plain);
    good.then_some(()).ok_or(ViewError::Query)
}

/// Puts a view into the list of its owner, in place of one of its name; at most one is the default. Returns whether it is
/// new, or none if the list is full.
pub fn put_view(views: &mut Vec<View>, view: View) -> Option<bool> {
    let known = views.iter().position(|other| other.name == view.name);
    if known.is_none() && views.len() >= MAX_VIEWS {
        return None;
    }
    if view.default {
        for other in &mut *views {
            other.default = false;
        }
    }
    match known {
        Some(at) => views[at] = View { created_at: views[at].created_at, ..view },
        None => views.push(view),
    }
    Some(known.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(name: &str, default: bool) -> View {
        let created_at = Timestamp::EPOCH;
        View { name: name.to_owned(), query: "view=events".to_owned(), default, by: "ann".to_owned(), created_at }
    }

    #[test]
    fn names_and_queries_have_limits() {
        for good in ["a", "Errors of today", "Помилки", &"x".repeat(100)] {
            assert_eq!(check_view_name(good), Ok(()), "{good}");
        }
        for bad in ["", "  ", "a/b", "a\nb", &"x".repeat(101), &"é".repeat(51)] {
            assert_eq!(check_view_name(bad), Err(ViewError::Name), "{bad}");
        }
        for good in
            ["", "view=events&level=ERROR,FATAL&name[ne]=a%20b", "since=24h&tz=Europe/Berlin", &"x".repeat(2_048)]
        {
            assert_eq!(check_view_query(good), Ok(()), "{good}");
        }
        for bad in ["?view=events", "a=b#c", "a b", "a=\u{e9}", "a=\"", &"x".repeat(2_049)] {
            assert_eq!(check_view_query(bad), Err(ViewError::Query), "{bad}");
        }
    }

    #[test]
    fn one_view_is_the_default_and_a_list_has_an_end() {
        let mut views = vec![];
        for n in 0..MAX_VIEWS {
            assert_eq!(put_view(&mut views, view(&n.to_string(), true)), Some(true));
        }
        assert_eq!(views.iter().filter(|view| view.default).count(), 1);
        assert_eq!(put_view(&mut views, view("one more", false)), None);
        assert_eq!(put_view(&mut views, View { created_at: Timestamp::MAX, ..view("7", true) }), Some(false));
        assert!(views[7].default && !views[99].default && views[7].created_at == Timestamp::EPOCH);
    }
}
