//! Issues: groups of errors with a life. `aggregate` finds them, `query` reads them, `admin` changes what people say about them.

pub mod change;
pub mod erased;
pub mod known_releases;
pub mod list;
pub mod new_issues;
