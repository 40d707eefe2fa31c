//! Log formats: detects the format of a line and extracts its fields.
//!
//! JSON formats are rows of a table: the keys that identify the format, and the keys that hold event fields. Each text
//! format has a parser that turns a line into an object; a row says what its keys mean.

mod access;
mod stamped;
mod syslog;
mod table;

use table::Reader;
pub(super) use table::{EXPORT, FORMATS, Format, Parsed, Text};

use tally_core::event::json::Json;

use super::json::{self, Malformed, Object};
use super::oddity::{Oddities, Oddity};
use super::time::{self, Clock};

/// Reads a line in the requested format, or detects its format.
///
/// # Errors
/// If the line begins like JSON, or must be JSON, and is not valid JSON.
pub(super) fn parse(
    line: &str,
    forced: Option<&'static Format>,
    clock: &mut Clock,
    oddities: &mut Oddities,
) -> Result<Parsed, Malformed> {
    let Some(format) = forced else { return any(line, clock, oddities) };
    let parsed = match format.reader {
        Reader::Json { .. } => match json::object(line, oddities)? {
            Some(object) => return Ok(Parsed::new(format, object, Text::None)),
            None => None,
        },
        Reader::Docker => json::object(line, oddities)?.map(|object| unwrap(object, clock, oddities)),
        Reader::Access => access::parse(line, clock),
        Reader::Syslog => syslog::parse(line, clock),
        Reader::Stamped => stamped::parse(line, clock, oddities),
        Reader::Logfmt => Parsed::logfmt(line),
        Reader::Plain => return Ok(Parsed::plain(line)),
    };
    Ok(parsed.unwrap_or_else(|| {
        // Lines without a time are a part of such a log.
        if format.reader != Reader::Stamped {
            oddities.add(Oddity::Format(format.name));
        }
        Parsed::plain(line)
    }))
}

fn any(line: &str, clock: &mut Clock, oddities: &mut Oddities) -> Result<Parsed, Malformed> {
    if line.trim_start().starts_with('{')
        && let Some(object) = json::object(line, oddities)?
    {
        return Ok(of_object(object, clock, oddities));
    }
    let parsed = access::parse(line, clock).or_else(|| syslog::parse(line, clock));
    let parsed = parsed.or_else(|| stamped::parse(line, clock, oddities)).or_else(|| Parsed::logfmt(line));
    Ok(parsed.unwrap_or_else(|| Parsed::plain(line)))
}

fn of_object(object: Object, clock: &mut Clock, oddities: &mut Oddities) -> Parsed {
    let format = Format::of_object(&object);
    if format.reader == Reader::Docker {
        return unwrap(object, clock, oddities);
    }
    Parsed::new(format, object, Text::None)
}

/// The inner line of a line of Docker's `json-file`.
fn unwrap(mut object: Object, clock: &mut Clock, oddities: &mut Oddities) -> Parsed {
    let docker = Format::of_reader(Reader::Docker);
    let Some(Json::String(log)) = object.remove("log") else { return Parsed::new(docker, object, Text::None) };
    let outer = object.get("time").and_then(|time| time::of_json(time, clock));
    if outer.is_some() {
        object.remove("time");
    }
    let line = log.trim_end_matches(['\n', '\r']);
    let mut parsed = inside(line, clock, oddities).unwrap_or_else(|| Parsed { format: docker, ..Parsed::plain(line) });
    parsed.time = parsed.time.or(outer);
    parsed.inner = (parsed.text == Text::Plain).then(|| line.to_owned());
    for (key, value) in object {
        parsed.object.entry(key).or_insert(value);
    }
    parsed
}

/// A line nested in another, in any format except plain text.
fn inside(line: &str, clock: &mut Clock, oddities: &mut Oddities) -> Option<Parsed> {
    let mut odd = Oddities::default();
    let parsed = if line.starts_with('{') {
        let object = json::object(line, &mut odd).ok().flatten()?;
        Some(Parsed::new(Format::of_object(&object), object, Text::None))
    } else {
        access::parse(line, clock)
            .or_else(|| syslog::parse(line, clock))
            .or_else(|| stamped::parse(line, clock, &mut odd))
            .or_else(|| Parsed::logfmt(line))
    };
    odd.list().iter().for_each(|oddity| oddities.add(oddity.clone()));
    parsed
}
