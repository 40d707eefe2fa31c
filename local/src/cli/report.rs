//! `tally report`: counts as tables and bars.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::Value;

use super::common::Common;
use super::error::CliError;
use super::filters::{Filters, Range};
use super::out::{Out, row};
use super::parts::{counted, number, text};
use super::remote::{Query, segment};
use super::text::{Look, bar, cut, harmless, pad, width};
use super::zone::Zone;
use crate::numbers::thousands;

/// Columns of a line where the output has no width of its own.
const ROOM: usize = 80;
/// Columns that the longest bar takes at most.
const LONGEST_BAR: usize = 50;
/// Columns that a name or a message takes at most, beside its bar.
const LONGEST_LABEL: usize = 44;
/// Rows of a chart. Where there are more buckets, several are one row.
const ROWS: usize = 60;

/// What to count.
#[derive(clap::Args)]
pub struct Report {
    /// The app
    #[arg(env = "TALLY_APP")]
    app: String,
    /// An hour by minutes, a day by hours, or a week, a month or a period by days. Without it, an overview of a range: by
    /// default the last 24 hours
    kind: Option<Kind>,
    /// Any day of the hour, day, week or month, by default today
    #[arg(long, value_name = "DAY", requires = "kind")]
    date: Option<String>,
    /// The hour of the day, from 0 to 23; by default the one that is now
    #[arg(long, value_name = "HOUR", requires = "kind")]
    hour: Option<u8>,
    /// Counts by `level`, `name`, `category`, `message`, or by a property: `attr.plan`, `tags.release`, `user_id`
    #[arg(long, value_name = "WHAT", conflicts_with = "kind")]
    by: Option<String>,
    /// The buckets of an overview: `minute`, `hour`, `day`, `week`, `month`; by default as the range is long
    #[arg(long, value_name = "LENGTH", conflicts_with_all = ["kind", "by"], value_parser = ["minute", "hour", "day", "week", "month"])]
    interval: Option<String>,
    /// How many names, messages or values to show
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Prints the reply of the API as it is
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Prints the counts as CSV
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    common: Common,
}

/// A report with a range of its own.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By minutes.
    Hour,
    /// By hours.
    Day,
    /// By days.
    Week,
    /// By days.
    Month,
    /// By days.
    Period,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Period => "period",
        }
    }

    /// How the beginnings of its buckets are written.
    fn buckets(self) -> &'static str {
        match self {
            Self::Hour | Self::Day => "%H:%M",
            Self::Week | Self::Month | Self::Period => "%a %Y-%m-%d",
        }
    }
}

/// A row of a chart: what it is of, how many, and how many of these are errors.
#[derive(Debug, PartialEq, Eq)]
struct Bar {
    label: String,
    count: u64,
    errors: u64,
}

impl Report {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let zone = Zone::of(self.range.tz.as_deref())?;
        let (path, query) = self.question(&zone)?;
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let reply = tally.get(&format!("/apps/{}/{path}", segment(&self.app)), &query).await?;
        if self.json {
            out.reply(&reply.body)?;
        } else {
            let body: Value = tally.parsed(&reply)?;
            match (&self.by, self.kind) {
                _ if self.csv => self.csv(&body, &mut out)?,
                (Some(by), _) => self.values(by, &body, &zone, &mut out)?,
                (None, Some(kind)) => self.report(kind, &body, &zone, &mut out)?,
                (None, None) => self.overview(&body, &zone, &mut out)?,
            }
            warn(&body, &zone, &mut out)?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// The path below the app and the parameters that ask for it.
    fn question(&self, zone: &Zone) -> Result<(String, Query), CliError> {
        let mut query = self.filters.query();
        let mut add = |name: &str, value: &str| query.push((name.to_owned(), value.to_owned()));
        let ranged = self.range.since.is_some() || self.range.until.is_some();
        match self.kind {
            Some(Kind::Period) => {
                let since =
                    self.range.since.as_deref().ok_or_else(|| CliError::Usage("a period needs --since".to_owned()))?;
                add("from", since);
                add("to", self.range.until.as_deref().unwrap_or("now"));
                if self.date.is_some() {
                    return Err(CliError::Usage("a period has --since and --until, not --date".to_owned()));
                }
            }
            Some(_) if ranged => {
                let what = "--since and --until go with a period, or without the name of a report";
                return Err(CliError::Usage(what.to_owned()));
            }
            Some(_) => add("date", self.date.as_deref().unwrap_or("today")),
            None => {}
        }
        match (self.hour, self.kind) {
            (Some(hour), Some(Kind::Hour)) => add("hour", &hour.to_string()),
            (Some(_), _) => return Err(CliError::Usage("--hour goes with the report `hour`".to_owned())),
            (None, Some(Kind::Hour)) => {
                add("hour", zone.show_at(Timestamp::now(), "%H").trim_start_matches('0').max("0"));
            }
            (None, _) => {}
        }
        add("tz", &zone.name);
        let path = match (self.kind, self.by.as_deref()) {
            (Some(kind), _) => format!("reports/{}", kind.name()),
            (None, Some("level")) => "stats/by-level".to_owned(),
            (None, Some(by)) => {
                add("limit", &self.limit.to_string());
                match by {
                    "name" | "category" => format!("stats/by-{by}"),
                    "message" => "stats/top-messages".to_owned(),
                    _ => {
                        add("attr", by);
                        "stats/groups".to_owned()
                    }
                }
            }
            (None, None) => {
                if let Some(interval) = &self.interval {
                    add("interval", &interval.to_ascii_uppercase());
                }
                "stats/overview".to_owned()
            }
        };
        if self.kind.is_none() {
            query.extend(self.range.query(&zone.name).into_iter().filter(|(name, _)| name != "tz"));
        }
        Ok((path, query))
    }

    fn csv(&self, body: &Value, out: &mut Out) -> Result<(), CliError> {
        if let Some(by) = &self.by {
            let field = field_of(by);
            out.bytes(row([by.as_str(), "count"]).as_bytes())?;
            for item in list(body, "items") {
                let value = match &item[field] {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                out.bytes(row([value.as_str(), &number(item, "count").to_string()]).as_bytes())?;
            }
            return Ok(());
        }
        out.bytes(row(["bucket_start", "count"]).as_bytes())?;
        for bucket in list(body, "series") {
            let count = number(bucket, "count").to_string();
            out.bytes(row([bucket["bucket_start"].as_str().unwrap_or_default(), &count]).as_bytes())?;
        }
        Ok(())
    }

    fn report(&self, kind: Kind, body: &Value, zone: &Zone, out: &mut Out) -> Result<(), CliError> {
        let format = if kind == Kind::Hour { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d" };
        let from = zone.show(body["from"].as_str().unwrap_or_default(), format);
        let what = match kind {
            Kind::Hour | Kind::Day => format!("{} of {from}", kind.name()),
            Kind::Week | Kind::Month | Kind::Period => {
                // The end is not included.
                let last = body["to"].as_str().and_then(|to| to.parse::<Timestamp>().ok());
                let last = last.and_then(|to| to.checked_sub(jiff::SignedDuration::from_micros(1)).ok());
                let last = last.map_or_else(String::new, |last| zone.show_at(last, "%Y-%m-%d"));
                format!("{} from {from} to {last}", kind.name())
            }
        };
        out.line(&out.paint(
            Look::Bold,
            &format!("{}, {what} ({}): {}", harmless(&self.app), zone.name, counted(number(body, "total"), "event")),
        ))?;
        out.line("")?;
        chart(&buckets(body, zone, kind.buckets()), out)?;
        let names = self.bars(body, "by_name", "name");
        table("NAME", &names, out)
    }

    fn overview(&self, body: &Value, zone: &Zone, out: &mut Out) -> Result<(), CliError> {
        let time = |field: &str| zone.show(body[field].as_str().unwrap_or_default(), "%Y-%m-%d %H:%M");
        out.line(&out.paint(
            Look::Bold,
            &format!("{}, {} to {} ({})", harmless(&self.app), time("since"), time("until"), zone.name),
        ))?;
        let mut sums = vec![
            counted(number(body, "total"), "event"),
            counted(number(body, "errors"), "error"),
            counted(number(&body["names"], "distinct"), "name"),
        ];
        // There are none of these with a filter.
        for who in ["user", "session"] {
            sums.extend(body[format!("{who}s")].as_u64().map(|number| counted(number, who)));
        }
        out.line(&sums.join(", "))?;
        out.line("")?;
        let days = body["series"].as_array().and_then(|series| {
            let day = |bucket: &Value| zone.show(bucket["bucket_start"].as_str().unwrap_or_default(), "%Y-%m-%d");
            Some(day(series.first()?) != day(series.last()?))
        });
        let format = match body["interval"].as_str().unwrap_or_default() {
            "MINUTE" | "HOUR" if days == Some(false) => "%H:%M",
            "MINUTE" | "HOUR" => "%a %d %H:%M",
            "MONTH" => "%Y-%m",
            _ => "%a %Y-%m-%d",
        };
        chart(&buckets(body, zone, format), out)?;
        table("LEVEL", &self.bars(body, "levels", "level"), out)?;
        table("NAME", &self.bars(&body["names"], "items", "name"), out)?;
        table("MESSAGE", &self.bars(body, "messages", "message"), out)
    }

    fn values(&self, by: &str, body: &Value, zone: &Zone, out: &mut Out) -> Result<(), CliError> {
        let time = |field: &str| zone.show(body[field].as_str().unwrap_or_default(), "%Y-%m-%d %H:%M");
        let heading = format!(
            "{} by {}, {} to {} ({})",
            harmless(&self.app),
            harmless(by),
            time("since"),
            time("until"),
            zone.name
        );
        out.line(&out.paint(Look::Bold, &heading))?;
        let bars = self.bars(body, "items", field_of(by));
        if bars.is_empty() {
            return out.line("No events.");
        }
        let head = if field_of(by) == by { by.to_uppercase() } else { by.to_owned() };
        table(&head, &bars, out)?;
        let left = &body["left_out"];
        if left["items"].as_u64().is_some_and(|items| items > 0) {
            let items = counted(number(left, "items"), "value");
            out.line(&format!("and {items} more with {}", counted(number(left, "count"), "event")))?;
        }
        Ok(())
    }

    /// The items of a list with their counts, at most as many as were asked for.
    fn bars(&self, body: &Value, field: &str, label: &str) -> Vec<Bar> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let bar = |item: &Value| {
            let errors = matches!(item["level"].as_str(), Some("ERROR" | "FATAL"));
            let count = number(item, "count");
            let label = if item[label].is_null() { "(none)".to_owned() } else { text(item, label) };
            Bar { label, count, errors: if errors { count } else { 0 } }
        };
        list(body, field).iter().take(limit).map(bar).collect()
    }
}

/// The field of an item that has what is counted by.
fn field_of(by: &str) -> &str {
    if matches!(by, "level" | "name" | "category" | "message") { by } else { "value" }
}

fn list<'a>(body: &'a Value, field: &str) -> &'a [Value] {
    body[field].as_array().map_or(&[], Vec::as_slice)
}

/// The buckets of a series as rows of a chart.
fn buckets(body: &Value, zone: &Zone, format: &str) -> Vec<Bar> {
    let bar = |bucket: &Value| {
        let label = zone.show(bucket["bucket_start"].as_str().unwrap_or_default(), format);
        let errors = number(&bucket["by_level"], "ERROR") + number(&bucket["by_level"], "FATAL");
        Bar { label, count: number(bucket, "count"), errors }
    };
    merged(list(body, "series").iter().map(bar).collect())
}

/// Sums neighbours where there are too many rows.
fn merged(bars: Vec<Bar>) -> Vec<Bar> {
    let together = bars.len().div_ceil(ROWS).max(1);
    if together == 1 {
        return bars;
    }
    let sum = |several: &[Bar]| Bar {
        label: several[0].label.clone(),
        count: several.iter().map(|bar| bar.count).sum(),
        errors: several.iter().map(|bar| bar.errors).sum(),
    };
    bars.chunks(together).map(sum).collect()
}

fn chart(bars: &[Bar], out: &mut Out) -> Result<(), CliError> {
    drawn(bars, out).iter().try_for_each(|line| out.line(line))
}

fn table(head: &str, bars: &[Bar], out: &mut Out) -> Result<(), CliError> {
    if bars.is_empty() {
        return Ok(());
    }
    let head = out.paint(Look::Dim, &harmless(head));
    out.line("")?;
    out.line(&head)?;
    chart(bars, out)
}

/// Lines of labels, counts and bars.
fn drawn(bars: &[Bar], out: &Out) -> Vec<String> {
    let room = out.room.unwrap_or(ROOM);
    let counts: Vec<String> = bars.iter().map(|bar| thousands(bar.count)).collect();
    let count = counts.iter().map(|count| width(count)).max().unwrap_or_default();
    let longest =
        if out.room.is_some() { LONGEST_LABEL.min(room.saturating_sub(count + 4) * 2 / 3) } else { usize::MAX };
    let label = bars.iter().map(|bar| width(&bar.label)).max().unwrap_or_default().min(longest);
    let columns = room.saturating_sub(label + count + 4).clamp(4, LONGEST_BAR);
    let largest = bars.iter().map(|bar| bar.count).max().unwrap_or_default();
    let line = |(of, number): (&Bar, &String)| {
        let number = pad(number, count, true);
        let number = if of.count == 0 { out.paint(Look::Dim, &number) } else { number };
        let drawn = painted(&bar(of.count, largest, columns, out.unicode), of, out);
        let label = pad(&cut(&of.label, label, out.unicode), label, false);
        format!("{label}  {number}  {drawn}").trim_end().to_owned()
    };
    bars.iter().zip(&counts).map(line).collect()
}

/// A bar whose share of errors is red.
fn painted(drawn: &str, of: &Bar, out: &Out) -> String {
    let blocks: Vec<char> = drawn.chars().collect();
    let share = u128::from(of.errors) * blocks.len() as u128;
    let errors = share.div_ceil(u128::from(of.count.max(1)));
    let (errors, others) = blocks.split_at(usize::try_from(errors).unwrap_or_default().min(blocks.len()));
    let (errors, others): (String, String) = (errors.iter().collect(), others.iter().collect());
    out.paint(Look::Code("31"), &errors) + &out.paint(Look::Code("34"), &others)
}

/// Says where counts are not what was asked for.
fn warn(body: &Value, zone: &Zone, out: &mut Out) -> Result<(), CliError> {
    if body["complete"] == Value::Bool(false) {
        let since = body["covered_since"].as_str().or(body["covered"]["since"].as_str());
        let since =
            since.map(|since| format!(" only what happened since {} is counted.", zone.show(since, "%Y-%m-%d %H:%M")));
        out.note(&format!("Not complete:{}", since.unwrap_or_else(|| " some of it is not counted here.".to_owned())))?;
    }
    if body["widened"] == Value::Bool(true) {
        out.note("The range was widened to whole minutes.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, count: u64, errors: u64) -> Bar {
        Bar { label: label.to_owned(), count, errors }
    }

    #[test]
    fn many_buckets_are_summed_to_few_rows() {
        assert_eq!(merged(vec![bar("a", 1, 0)]), [bar("a", 1, 0)]);
        let many: Vec<Bar> = (0..360).map(|n| bar(&n.to_string(), 2, 1)).collect();
        let rows = merged(many);
        assert_eq!((rows.len(), &rows[1]), (60, &bar("6", 12, 6)));
        assert_eq!(
            merged((0..61).map(|n| bar(&n.to_string(), 1, 0)).collect()).iter().map(|row| row.count).sum::<u64>(),
            61
        );
    }

    #[test]
    fn lines_fit_the_terminal() {
        let mut out = Out::new(&super::super::out::Output::default());
        (out.unicode, out.color) = (true, false);
        let bars = [
            bar("page_view", 1_000, 0),
            bar("日本語のとても長い名前がここにあります、本当に長いのです", 250, 250),
            bar("x", 0, 0),
        ];
        for room in [40, 80, 200] {
            out.room = Some(room);
            let lines = drawn(&bars, &out);
            assert!(lines.iter().all(|line| width(line) <= room), "{room}: {lines:#?}");
            let blocks = |line: &str| line.matches('█').count();
            assert!(blocks(&lines[0]) >= 4 * blocks(&lines[1]) && blocks(&lines[1]) > 0, "{lines:#?}");
            assert!(lines[1].contains('…') || room > 100, "{lines:#?}");
            assert!(lines[2].ends_with('0'), "{lines:#?}");
        }
    }

    #[test]
    fn errors_are_the_red_part_of_a_bar() {
        let mut out = Out::new(&super::super::out::Output::default());
        out.color = true;
        assert_eq!(painted("████", &bar("a", 8, 2), &out), "\x1b[31m█\x1b[0m\x1b[34m███\x1b[0m");
        assert_eq!(painted("████", &bar("a", 8, 8), &out), "\x1b[31m████\x1b[0m");
        assert_eq!(painted("████", &bar("a", 8, 0), &out), "\x1b[34m████\x1b[0m");
    }
}
