//! The options of `tally import`.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use tally_core::event::MAX_COUNT;
use tally_core::log::level;

use super::format::{FORMATS, Format};
use super::shape::{Constant, FIELDS, Mapping};
use super::time;

/// What to import.
#[derive(clap::Args)]
#[command(after_long_help = IDENTITY)]
pub struct Import {
    /// Files, or patterns of files; `-` is standard input. gzip, zstd and xz are understood, and UTF-16 with a byte order
    /// mark. A line without a time gets that of the line before; at the beginning of a file, the time at which it was first
    /// imported, which is remembered in the data folder (with `--url`, where this system keeps state of programs), so
    /// that it is the same the next time.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// The app to send to; made where it does not exist, unless it is that of a `--url`.
    #[arg(long)]
    pub(super) app: String,
    /// What the lines come from. Equal lines of different sources are different events; a line of the same source that is
    /// imported again, from whatever file, counts once. By default this host and the path of the file without what rotation
    /// adds (`.1`, `.2.gz`, `-20261126`).
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// Reads every line in this format instead of detecting it.
    #[arg(long, value_name = "NAME", value_parser = parse_format)]
    pub(super) format: Option<&'static Format>,
    /// Takes a field of the event from a dotted path in the line, e.g. `--map name=event.type`. `id` and `count` are taken
    /// in no other way. What is mapped nowhere, and is no field of an event, goes to `data`.
    #[arg(long, value_name = "FIELD=PATH", num_args = 1.., value_parser = parse_mapping)]
    pub(super) map: Vec<Mapping>,
    /// Sets a field of every event, or a path in its `data`: `--set category=web data.env=prod`.
    #[arg(long, value_name = "FIELD=VALUE", num_args = 1.., value_parser = parse_constant)]
    pub(super) set: Vec<Constant>,
    /// The time zone of times that name none, e.g. `Europe/Stockholm`.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_zone)]
    pub(super) tz: TimeZone,
    /// Keeps reading as the files grow, also when they are rotated, until Ctrl-C.
    #[arg(long)]
    pub(super) follow: bool,
    /// Shows what the first lines become, and sends nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Writes rejected lines to a file, as JSON with file, number, reason and text.
    #[arg(long, value_name = "FILE")]
    pub(super) rejects: Option<PathBuf>,
    /// The folder that keeps the data, by default `.tally`. If a Tally is running on it, events go to that Tally.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Sends to the Tally at this URL instead.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Sends to the Tally of this profile instead, which `tally login` made.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["url", "data"])]
    pub(super) profile: Option<String>,
    /// The ingest key for `--url`, or an admin's access token, which events that a Tally exported need; better in the variable `TALLY_KEY`, since other users of this machine may see options.
    #[arg(long, requires = "url")]
    pub(super) key: Option<String>,
}

/// The explanation of identity in `--help`.
const IDENTITY: &str = "Which lines are the same: a line that has a time, by its source, its time, its text, and its place among \
the lines of the same millisecond; one that has none, by its source, the first line of its file, its offset in the decompressed \
file, and its text. So a file may be appended to, touched, renamed within its source, rotated and compressed, and be imported \
again. Files of one source that begin with the same line are one file for lines without a time. A file whose beginning was cut \
off counts the lines of its first millisecond twice (of its first second, where its times are in seconds), and a last line that \
was imported before it was written to its end counts again.";

fn parse_format(text: &str) -> Result<&'static Format, String> {
    let names = FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ");
    Format::of_name(text).ok_or_else(|| format!("the formats are {names}"))
}

fn parse_mapping(text: &str) -> Result<Mapping, String> {
    let (field, path) = text.split_once('=').ok_or("must be FIELD=PATH, e.g. name=event.type")?;
    if !FIELDS.contains(&field) && field != "occurred_at" {
        return Err(format!("`{field}` is no field of an event: {}", FIELDS.join(", ")));
    }
    Ok(Mapping { field: field.to_owned(), path: path.to_owned() })
}

fn parse_constant(text: &str) -> Result<Constant, String> {
    let (field, value) = text.split_once('=').ok_or("must be FIELD=VALUE, e.g. category=web")?;
    let in_data = field.strip_prefix("data.").is_some_and(|key| !key.is_empty());
    if field == "id" {
        return Err("`id` cannot be the same in every event".to_owned());
    }
    if !FIELDS.contains(&field) && !in_data {
        return Err(format!("`{field}` is no field of an event: {} or data.KEY", FIELDS[1..].join(", ")));
    }
    let good = match field {
        "level" => level::of_name(value).is_some(),
        "timestamp" => time::of_text(value, &mut time::Clock::new(TimeZone::UTC)).is_some(),
        "count" => value.parse().is_ok_and(|count: u64| (1..=MAX_COUNT).contains(&count)),
        _ => true,
    };
    if !good {
        return Err(format!("`{value}` is no {field}"));
    }
    Ok(Constant { field: field.to_owned(), value: value.to_owned() })
}

fn parse_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| "must be a name of the IANA, e.g. Europe/Stockholm".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_fields_of_events() {
        assert!(
            parse_mapping("name=event.type")
                .is_ok_and(|m| (m.field.as_str(), m.path.as_str()) == ("name", "event.type"))
        );
        assert!(parse_mapping("nme=x").is_err_and(|e| e.contains("no field")));
        assert!(parse_mapping("name").is_err());
        assert!(parse_constant("data.env=prod").is_ok() && parse_constant("category=a=b").is_ok());
        assert!(
            parse_constant("data.=x").is_err()
                && parse_constant("env=prod").is_err()
                && parse_constant("id=1").is_err()
        );
        assert!(
            parse_format("nginx").is_ok_and(|f| f.name == "access")
                && parse_format("x").is_err_and(|e| e.contains("journald"))
        );
        assert!(parse_zone("Europe/Stockholm").is_ok() && parse_zone("Mars").is_err());
    }
}
