//! The filter of a rule, as it is stored and sent: values by parameter, with the names and operators of statistics.

use std::collections::BTreeMap;

use crate::event::MAX_TEXT;
use crate::event::filter::CellFilter;
use crate::event::filter::values::Values;
use crate::invalid::{Invalid, Problems};

/// The filter of a rule: the values of `name`, `slug`, `category`, `level` and `group`, and of each with `[ne]`.
pub type FilterParams = BTreeMap<String, Vec<String>>;

/// The fields of a filter.
pub const FIELDS: [&str; 5] = ["name", "slug", "category", "level", "group"];

/// Reads a filter that counters can answer.
///
/// # Errors
/// Names each field that is wrong.
pub fn cell_filter(params: &FilterParams) -> Result<CellFilter, Invalid> {
    let mut problems = Problems::default();
    for name in params.keys() {
        if !FIELDS.contains(&name.strip_suffix("[ne]").unwrap_or(name)) {
            problems
                .add(name, "not a part of a filter: send name, slug, category, level or group, each also with [ne]");
        }
    }
    let filter = CellFilter {
        name: values(params, &mut problems, "name", text),
        slug: values(params, &mut problems, "slug", text),
        category: values(params, &mut problems, "category", text),
        level: values(params, &mut problems, "level", |text| text.parse().map_err(to_text)),
        group: values(params, &mut problems, "group", |text| text.parse().map_err(to_text)),
    };
    if filter.asks_events() {
        problems.add(
            "group",
            "counters know the level of a group alone: name groups that it may be, and no name, slug or category",
        );
    }
    problems.check()?;
    Ok(filter)
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn to_text(error: impl ToString) -> String {
    error.to_string()
}

fn text(text: &str) -> Result<String, String> {
    if (1..=MAX_TEXT).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must have from 1 to {MAX_TEXT} bytes"))
    }
}

fn values<T: Ord>(
    params: &FilterParams,
    problems: &mut Problems,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Values<T> {
    let not = format!("{name}[ne]");
    let [is, is_not] = [name, &not].map(|name| {
        let texts = params.get(name).into_iter().flatten();
        let read: Vec<_> = texts.filter_map(|text| problems.keep(name, read(text))).collect();
        (name, read)
    });
    let is = problems.keep(is.0, Values::new(is.1, vec![])).unwrap_or_default();
    is.and(problems.keep(is_not.0, Values::new(vec![], is_not.1)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::level::Level;

    fn params(of: &[(&str, &[&str])]) -> FilterParams {
        let one = |(name, values): &(&str, &[&str])| {
            ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn a_filter_is_read_as_statistics_read_it() {
        let filter = cell_filter(&params(&[("level", &["ERROR", "fatal"]), ("name[ne]", &["a"])])).expect("a filter");
        assert!(filter.level.matches(Some(&Level::Fatal)) && !filter.level.matches(Some(&Level::Info)));
        assert!(filter.name.matches(Some("b")) && !filter.name.matches(Some("a")));
        assert_eq!(cell_filter(&FilterParams::new()).expect("a filter"), CellFilter::default());
        for (bad, field) in [
            (params(&[("user_id", &["a"])]), "user_id"),
            (params(&[("level", &["LOUD"])]), "level"),
            (params(&[("name", &[""])]), "name"),
            (params(&[("group[ne]", &["m0123456789abcdef"])]), "group"),
            (params(&[("group", &["m0123456789abcdef"]), ("name", &["a"])]), "group"),
            (params(&[("group", &["x"])]), "group"),
        ] {
            let Invalid(errors) = cell_filter(&bad).expect_err("an error");
            assert_eq!(errors[0].field, field, "{bad:?}");
        }
    }
}
