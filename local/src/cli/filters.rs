//! Options that select events: those of the API, by shorter names.

use super::remote::Query;

/// Which events.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filters {
    /// Of this level; several with commas
    #[arg(long, short, value_name = "LEVEL", value_delimiter = ',')]
    level: Vec<String>,
    /// Of this name
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Of this category
    #[arg(long, value_name = "CATEGORY")]
    category: Vec<String>,
    /// Of this user
    #[arg(long, value_name = "ID")]
    user: Vec<String>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session: Vec<String>,
    /// Of this group of messages, or this issue
    #[arg(long, value_name = "ID")]
    group: Vec<String>,
    /// With this text in their name, message, user, session, data or stack
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Any other filter of the API: `-w attr.plan=pro`, `-w 'attr.amount>=20'`, `-w 'name!=ping'`,
    /// `-w 'attr.url[contains]=/cart'`
    #[arg(long = "where", short = 'w', value_name = "CONDITION", value_parser = condition)]
    conditions: Vec<(String, String)>,
}

impl Filters {
    /// The parameters of a request.
    pub(super) fn query(&self) -> Query {
        let many = [
            ("name", &self.name),
            ("category", &self.category),
            ("user_id", &self.user),
            ("session_id", &self.session),
            ("group", &self.group),
        ];
        let mut query: Query = Vec::new();
        if !self.level.is_empty() {
            query.push(("level".to_owned(), self.level.join(",")));
        }
        for (name, values) in many {
            query.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        }
        query.extend(self.q.iter().map(|text| ("q".to_owned(), text.clone())));
        query.extend(self.conditions.iter().cloned());
        query
    }
}

/// A condition as a parameter of the API: its name, with the operator in brackets, and its value.
fn condition(text: &str) -> Result<(String, String), String> {
    const OPERATORS: [(&str, &str); 6] =
        [("!=", "[ne]"), (">=", "[gte]"), ("<=", "[lte]"), ("=", ""), (">", "[gt]"), ("<", "[lt]")];
    let found = text.char_indices().find_map(|(at, _)| {
        let operator = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign));
        operator.map(|(sign, suffix)| (&text[..at], *suffix, &text[at + sign.len()..]))
    });
    match found {
        Some((name, suffix, value)) if !name.trim().is_empty() => {
            Ok((format!("{}{suffix}", name.trim()), value.trim().to_owned()))
        }
        _ => Err("must be KEY=VALUE, such as attr.plan=pro (also !=, >, >=, <, <=)".to_owned()),
    }
}

/// A range of time.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Time")]
pub(super) struct Range {
    /// From this time on: `10m`, `2h`, `7d` ago, `today`, `yesterday`, a day, or a time of RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Up to this time, which is not included
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// The time zone of days and of what is shown, by default that of this machine
    #[arg(long, value_name = "ZONE")]
    pub(super) tz: Option<String>,
}

impl Range {
    /// The parameters of a request, with a zone only where it makes a difference.
    pub(super) fn query(&self, zone: &str) -> Query {
        let mut query: Query = Vec::new();
        query.extend(self.since.iter().map(|since| ("since".to_owned(), since.clone())));
        query.extend(self.until.iter().map(|until| ("until".to_owned(), until.clone())));
        if !query.is_empty() {
            query.push(("tz".to_owned(), zone.to_owned()));
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_the_api() {
        for (text, name, value) in [
            ("attr.plan=pro", "attr.plan", "pro"),
            ("attr.url=/a?b=c", "attr.url", "/a?b=c"),
            ("name!=ping", "name[ne]", "ping"),
            ("attr.amount >= 20", "attr.amount[gte]", "20"),
            ("attr.amount<5", "attr.amount[lt]", "5"),
            ("attr.url[contains]=/cart", "attr.url[contains]", "/cart"),
            ("attr.note=a>b", "attr.note", "a>b"),
            ("attr.empty=", "attr.empty", ""),
        ] {
            assert_eq!(condition(text), Ok((name.to_owned(), value.to_owned())), "{text}");
        }
        assert!(condition("plan").is_err() && condition("=x").is_err());
    }
}
