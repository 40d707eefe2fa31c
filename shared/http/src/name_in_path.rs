//! Names at the end of a path, which may hold slashes.

/// A last segment of digits is the number, all before it the name; of a path of one segment it is the name. A slash at
/// the end is ignored.
pub fn name_and_number(path: &str) -> (&str, Option<&str>) {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((name, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => (name, Some(n)),
        _ => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_of_digits_is_the_number() {
        assert_eq!(name_and_number("login"), ("login", None));
        assert_eq!(name_and_number("login/3"), ("login", Some("3")));
        assert_eq!(name_and_number("resource/209/2"), ("resource/209", Some("2")));
        assert_eq!(name_and_number("404"), ("404", None));
        assert_eq!(name_and_number("login/"), ("login", None));
        assert_eq!(name_and_number("login/3/"), ("login", Some("3")));
        assert_eq!(name_and_number("404/"), ("404", None));
        assert_eq!(name_and_number("a/b"), ("a/b", None));
    }
}
