//! What somebody may have meant by a name that is not known.

/// Names that mean about the same, here and in other systems. A name may be in several groups.
const GROUPS: &[&[&str]] = &[
    &["user_id", "user", "uid", "distinct_id", "customer_id", "person_id"],
    &["session_id", "session", "sid"],
    &["name", "event", "event_name", "event_type", "action", "label", "title"],
    &["id", "uuid", "event_id", "message_id", "insert_id", "client_id"],
    &["timestamp", "occurred_at", "ts", "time", "at", "date", "datetime", "date_time", "event_time", "created_at"],
    &["message", "msg", "text", "description"],
    &["level", "severity", "severity_text", "lvl", "log_level", "levelname", "priority"],
    &["category", "type", "kind", "logger"],
    &[
        "data",
        "properties",
        "props",
        "attributes",
        "attrs",
        "context",
        "payload",
        "params",
        "extra",
        "meta",
        "metadata",
    ],
    &["tags", "labels"],
    &["stack", "stack_trace", "trace", "traceback", "exception"],
    &["count", "n", "num", "number", "quantity", "times", "value"],
    &["since", "from", "start", "after", "begin", "start_date", "start_time", "start_at"],
    &["until", "to", "end", "before", "end_date", "end_time", "end_at"],
    &["date", "day", "week", "month"],
    &["hour", "time"],
    &["tz", "timezone", "time_zone", "zone"],
    &["interval", "granularity", "bucket", "step", "resolution", "period"],
    &["cursor", "next", "page", "page_token", "after"],
    &["limit", "per_page", "page_size", "size", "max", "top", "take"],
    &["offset", "skip"],
    &["order", "sort", "direction", "sort_order"],
    &["attr", "attribute", "attribute_path", "field", "group_by", "by", "path"],
    &["username", "user", "login", "email"],
    &["password", "pass", "secret"],
    &["scopes", "scope", "permissions"],
    &["retention_days", "retention", "ttl"],
];

/// A name as all of its spellings have it: `userId` and `user-id` as `user_id`.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The one of the known names that another may stand for.
pub(crate) fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plainly = plain(name);
    if plainly.is_empty() {
        return None;
    }
    let same = |other: &&&str| plain(other) == plainly;
    known.iter().find(same).copied().or_else(|| {
        let groups = GROUPS.iter().filter(|group| group.iter().any(|member| same(&member)));
        groups.copied().flatten().find_map(|member| known.iter().find(|name| *name == member).copied())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_a_known_one_that_means_the_same() {
        for (name, known) in [
            ("userId", "user_id"),
            ("USER-ID", "user_id"),
            ("user", "user_id"),
            ("@timestamp", "timestamp"),
            ("msg", "message"),
        ] {
            assert_eq!(meant(name, &["message", "user_id", "timestamp"]), Some(known), "{name}");
        }
        assert_eq!(meant("from", &["since", "until"]), Some("since"));
        assert_eq!(meant("since", &["from", "to"]), Some("from"));
        assert_eq!(meant("from", &["name"]), None, "only what is known");
        assert_eq!(meant("ts", &["date", "timestamp"]), Some("timestamp"), "the most usual first");
        for nothing in ["", "-", "é", "colour"] {
            assert_eq!(meant(nothing, &["user_id", "since"]), None, "{nothing}");
        }
    }
}
