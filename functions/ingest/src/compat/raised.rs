//! What was raised: its title, and what groups it with others of the same cause.

/// A call of a stack.
#[derive(Debug)]
pub(super) struct Called {
    /// The function.
    pub function: Option<String>,
    /// The module, or the file without one.
    pub place: Option<String>,
    /// Whether it is the application's own, if the library says so.
    pub in_app: Option<bool>,
}

/// `Type: value`, or the one of them that there is.
pub(super) fn title(kind: Option<&str>, value: Option<&str>) -> Option<String> {
    match (kind, value) {
        (Some(kind), Some(value)) => Some(format!("{kind}: {value}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// The type of what was raised and the innermost call that is the application's own, without its line. The innermost call
/// comes first.
pub(super) fn grouping<'a>(kind: Option<&str>, calls: impl Iterator<Item = &'a Called>) -> Option<String> {
    // The first of the best.
    let call = calls.min_by_key(|call| match call.in_app {
        Some(true) => 0,
        None => 1,
        Some(false) => 2,
    });
    let call = call.and_then(|call| match (&call.place, &call.function) {
        (Some(place), Some(function)) => Some(format!("{place}:{function}")),
        (one, other) => one.clone().or_else(|| other.clone()),
    });
    match (kind, call) {
        (Some(kind), Some(call)) => Some(format!("{kind} in {call}")),
        (kind, call) => kind.map(str::to_owned).or(call),
    }
}

/// The path of a script's URL: the same script is served from many hosts, and its query often names a build.
pub(super) fn without_origin(place: String) -> String {
    let Some((_, rest)) = place.split_once("://") else { return place };
    let path = rest.find('/').map_or(rest, |start| &rest[start..]);
    path.split(['?', '#']).next().unwrap_or(path).to_owned()
}
