//! Turns pieces of files into events to send, each with its identity and time.

use std::path::{Path, PathBuf};

use tally_core::event::draft::named_time;
use tally_core::event::id::EventId;
use tally_core::event::json::Json;
use tally_core::time::Timestamp;

use super::first_seen::FirstSeen;
use super::format::{self, EXPORT, Format, Parsed, Text};
use super::identity::{Identities, Place, first_line_hash};
use super::join::{Block, MAX_JOINED};
use super::json::{Malformed, Object};
use super::oddity::{Oddities, Oddity};
use super::read::{Piece, RawLine};
use super::send::Outgoing;
use super::shape::{Constant, Mapping, Nameless, Shaped, add_to_data, cut, keep_line, shape, to_json};
use super::summary::Refusal;
use super::time::{Clock, may_lack_a_year};

/// Maximum bytes of a line that is not UTF-8 that its event keeps with escapes.
const UNDECODED: usize = 8 * 1024;

/// How lines are read.
pub(super) struct Options {
    /// The requested format.
    pub format: Option<&'static Format>,
    /// `--map`
    pub mappings: Vec<Mapping>,
    /// `--set`
    pub constants: Vec<Constant>,
    /// The zone of times that name none.
    pub zone: jiff::tz::TimeZone,
    /// Where first imports are recorded, or `None` for a dry run.
    pub memory: Option<PathBuf>,
}

/// An event and its line.
#[derive(Debug)]
pub(super) struct Ready {
    pub event: Outgoing,
    /// Which file.
    pub file: usize,
    /// Which line.
    pub number: u64,
    /// The line.
    pub text: String,
    /// Its format.
    pub format: &'static str,
    /// Whether it was sent before with fewer continuation lines.
    pub again: bool,
}

/// The result of a piece.
#[derive(Debug)]
pub(super) enum Step {
    /// An event to send.
    Ready(Box<Ready>),
    /// A line that is not an event.
    Refused { file: usize, number: u64, text: String, refusal: Refusal },
    /// A continuation of the previous line.
    Joined,
    /// Something odd in a line.
    Odd { file: usize, number: u64, oddity: Oddity },
}

/// One file of a source.
struct Source {
    name: String,
    identities: Identities,
    clock: Clock,
    first_line: Option<[u8; 16]>,
    first_seen: Option<FirstSeen>,
    /// The time of the last line that had one.
    previous: Option<Timestamp>,
    pending: Option<Pending>,
}

/// A line that may have continuation lines.
struct Pending {
    /// The state of joining, or `None` if nothing may follow.
    block: Option<Block>,
    event: Object,
    id: EventId,
    number: u64,
    text: String,
    format: &'static str,
    stack: String,
    /// Whether it was emitted in its current form.
    sent: bool,
    /// Whether it was emitted before.
    again: bool,
}

/// Turns pieces into events.
pub(super) struct Importer {
    options: Options,
    sources: Vec<Source>,
    now: Box<dyn Fn() -> Timestamp + Send>,
}

impl Source {
    fn new(name: String, options: &Options) -> Self {
        Self {
            name,
            identities: Identities::default(),
            clock: Clock::new(options.zone.clone()),
            first_line: None,
            first_seen: None,
            previous: None,
            pending: None,
        }
    }

    /// The record of the first import, loaded on demand.
    fn first_seen(&mut self, memory: Option<&Path>, first_line: &[u8; 16]) -> &mut FirstSeen {
        self.first_seen.get_or_insert_with(|| FirstSeen::load(memory, &self.name, first_line))
    }
}

impl Options {
    /// The identity of an event that was exported. None if options change the event, which is another one then.
    fn identity_of_export(&self, parsed: &Parsed) -> Option<EventId> {
        let is_changed = !self.mappings.is_empty() || !self.constants.is_empty();
        match parsed.object.get("id") {
            Some(Json::String(id)) if !is_changed => id.parse().ok(),
            _ => None,
        }
    }
}

impl Importer {
    /// An importer of files of these sources.
    pub(super) fn new(options: Options, names: Vec<String>, now: Box<dyn Fn() -> Timestamp + Send>) -> Self {
        let sources = names.into_iter().map(|name| Source::new(name, &options)).collect();
        Self { options, sources, now }
    }

    /// Takes a piece of a file.
    pub(super) fn take(&mut self, piece: Piece, steps: &mut Vec<Step>) {
        match piece {
            Piece::Open { file } => {
                let name = std::mem::take(&mut self.sources[file].name);
                self.sources[file] = Source::new(name, &self.options);
            }
            Piece::Line(line) => self.line(&line, steps),
            Piece::Close { file, .. } => self.end_block(file, steps),
        }
    }

    /// Emits the lines that wait for continuation lines. Later continuation lines are not lost.
    pub(super) fn flush(&mut self, steps: &mut Vec<Step>) {
        for file in 0..self.sources.len() {
            self.give_out(file, steps);
        }
    }

    /// Saves what must be the same at the next import. Call this before emitted events are sent.
    pub(super) fn keep(&mut self) -> std::io::Result<()> {
        self.sources.iter_mut().filter_map(|source| source.first_seen.as_mut()).try_for_each(FirstSeen::keep)
    }

    fn end_block(&mut self, file: usize, steps: &mut Vec<Step>) {
        self.give_out(file, steps);
        self.sources[file].pending = None;
    }

    fn give_out(&mut self, file: usize, steps: &mut Vec<Step>) {
        let Some(pending) = self.sources[file].pending.as_mut().filter(|pending| !pending.sent) else { return };
        let mut event = pending.event.clone();
        if !pending.stack.is_empty() {
            event.insert("stack".to_owned(), Json::String(pending.stack.clone()));
        }
        let again = std::mem::replace(&mut pending.again, true);
        pending.sent = true;
        let (id, number, text, format) = (pending.id, pending.number, pending.text.clone(), pending.format);
        let mut oddities = Oddities::default();
        push(event, id, (file, number, text, format, again), &mut oddities, steps);
        odd(file, number, &oddities, steps);
    }

    fn line(&mut self, line: &RawLine, steps: &mut Vec<Step>) {
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let (file, number) = (line.file, line.number);
        let mut oddities = Oddities::default();
        let Decoded { text, undecoded, is_cut } = decode(line, &mut oddities);
        if !line.whole {
            self.end_block(file, steps);
            steps.push(Step::Refused { file, number, text, refusal: Refusal::CutOff });
            return;
        }
        let first_line = *self.sources[file].first_line.get_or_insert_with(|| first_line_hash(&line.bytes));
        let now = (self.now)();
        let source = &mut self.sources[file];
        if source.clock.written_before.is_none() && lacks_a_year(&text) {
            let start = source.first_seen(self.options.memory.as_deref(), &first_line).start(now);
            source.clock.written_before = Some(start);
        }
        let parsed = if is_cut {
            let plain = Format::of_name("plain");
            format::parse(&text, plain, &mut source.clock, &mut Oddities::default())
        } else {
            format::parse(&text, self.options.format, &mut source.clock, &mut oddities)
        };
        if let Ok(parsed) = &parsed
            && parsed.format.name == EXPORT
            && let Some(id) = self.options.identity_of_export(parsed)
        {
            self.end_block(file, steps);
            // As it is: it is the same event then.
            let (json, format) = (text.trim().to_owned(), parsed.format.name);
            let event = Outgoing { json, id };
            steps.push(Step::Ready(Box::new(Ready { event, file, number, text, format, again: false })));
            return;
        }
        let plain = match &parsed {
            Ok(Parsed { text: Text::Plain, inner, .. }) => Some(inner.as_deref().unwrap_or(&text)),
            // A line with a time may be followed by JSON over several lines.
            Err(_) => Some(text.as_str()),
            Ok(_) => None,
        };
        if let Some(plain) = plain
            && source.pending.as_mut().is_some_and(|pending| pending.join(plain))
        {
            steps.push(Step::Joined);
            return;
        }
        self.end_block(file, steps);
        match parsed {
            Ok(mut parsed) => {
                let format = parsed.format.name;
                let block = (parsed.text != Text::None)
                    .then(|| Block::new(parsed.text, parsed.inner.take().as_deref().unwrap_or(&text)));
                match self.event(line, parsed, first_line, now, &mut oddities) {
                    Ok((mut event, id)) => {
                        if let Some(undecoded) = undecoded {
                            add_to_data(&mut event, "undecoded", Json::String(undecoded));
                        }
                        if is_cut {
                            // Warnings about the message are warnings about the line.
                            oddities = Oddities::default();
                            oddities.add(Oddity::LongLine(line.length));
                            event.remove("data");
                            keep_line(&mut event, &text);
                        }
                        odd(file, number, &oddities, steps);
                        let pending = Pending {
                            block,
                            event,
                            id,
                            number,
                            text,
                            format,
                            stack: String::new(),
                            sent: false,
                            again: false,
                        };
                        self.sources[file].pending = Some(pending);
                        // Nothing can belong to it: it need not wait.
                        if self.sources[file].pending.as_ref().is_some_and(|pending| pending.block.is_none()) {
                            self.end_block(file, steps);
                        }
                    }
                    Err(nameless) => {
                        steps.push(Step::Refused { file, number, text, refusal: Refusal::Nameless(nameless) });
                    }
                }
            }
            Err(error) => {
                let column = if error.line == 1 { line.column + error.column - 1 } else { error.column };
                let number = number + error.line - 1;
                let refusal = Refusal::Malformed(Malformed { column, ..error });
                steps.push(Step::Refused { file, number, text, refusal });
            }
        }
    }

    /// The event of a line, with its time and identity.
    fn event(
        &mut self,
        line: &RawLine,
        parsed: Parsed,
        first_line: [u8; 16],
        now: Timestamp,
        oddities: &mut Oddities,
    ) -> Result<(Object, EventId), Nameless> {
        let (options, source) = (&self.options, &mut self.sources[line.file]);
        let Shaped { mut event, time } =
            shape(parsed, &options.mappings, &options.constants, &mut source.clock, oddities)?;
        let own = match event.get("id") {
            Some(Json::String(id)) => Some(id.clone()),
            _ => None,
        };
        let time = time.or_else(|| named_time(own.as_deref()?));
        let at = time.or(source.previous).unwrap_or_else(|| {
            let seen = source.first_seen(options.memory.as_deref(), &first_line);
            seen.line(line.offset, line.offset + line.length, now)
        });
        source.previous = time.or(source.previous);
        event.insert("timestamp".to_owned(), Json::String(at.to_string()));
        let place = match time {
            Some(_) => Place::Timed,
            None => Place::At { first_line: &first_line, offset: line.offset },
        };
        let made = source.identities.next(&source.name, at, &place, &line.bytes);
        let id = own.map_or(made, |own| named_identity(&own, at));
        event.entry("id".to_owned()).or_insert_with(|| Json::String(made.to_string()));
        Ok((event, id))
    }
}

/// The text of a line.
struct Decoded {
    text: String,
    /// The line with escapes, if it is not UTF-8.
    undecoded: Option<String>,
    /// Whether it is longer than its text.
    is_cut: bool,
}

fn decode(line: &RawLine, oddities: &mut Oddities) -> Decoded {
    let is_cut = line.length > line.bytes.len() as u64;
    if is_cut {
        oddities.add(Oddity::LongLine(line.length));
    }
    let (text, undecoded) = match std::str::from_utf8(&line.bytes) {
        Ok(text) => (text.to_owned(), None),
        // The bound of a line may lie within a character.
        Err(e) if is_cut && e.error_len().is_none() => {
            (String::from_utf8_lossy(&line.bytes[..e.valid_up_to()]).into_owned(), None)
        }
        Err(_) => {
            oddities.add(Oddity::Encoding);
            let escaped = line.bytes[..line.bytes.len().min(UNDECODED)].escape_ascii().to_string();
            (String::from_utf8_lossy(&line.bytes).into_owned(), Some(escaped))
        }
    };
    Decoded { text, undecoded, is_cut }
}

impl Pending {
    /// Adds a line if it is a continuation. Returns whether it is.
    fn join(&mut self, line: &str) -> bool {
        if self.stack.len() + line.len() > MAX_JOINED || !self.block.as_mut().is_some_and(|block| block.take(line)) {
            return false;
        }
        if !self.stack.is_empty() {
            self.stack.push('\n');
        }
        self.stack.push_str(line);
        self.sent = false;
        true
    }
}

fn push(
    mut event: Object,
    id: EventId,
    (file, number, text, format, again): (usize, u64, String, &'static str, bool),
    oddities: &mut Oddities,
    steps: &mut Vec<Step>,
) {
    match to_json(&mut event, &text, oddities) {
        Ok(json) => {
            let event = Outgoing { json, id };
            steps.push(Step::Ready(Box::new(Ready { event, file, number, text, format, again })));
        }
        Err(e) => steps.push(Step::Refused { file, number, text, refusal: Refusal::Refused(e.to_string()) }),
    }
}

fn odd(file: usize, number: u64, oddities: &Oddities, steps: &mut Vec<Step>) {
    steps.extend(oddities.list().iter().map(|oddity| Step::Odd { file, number, oddity: oddity.clone() }));
}

/// Whether a line begins with a month, after a priority of syslog or a bracket.
fn lacks_a_year(text: &str) -> bool {
    let rest = match text.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        Some((priority, rest)) if priority.len() <= 3 => rest,
        _ => text.strip_prefix('[').unwrap_or(text),
    };
    may_lack_a_year(rest)
}

/// The identity that Tally derives from the id in a line, in an app with event time.
fn named_identity(id: &str, at: Timestamp) -> EventId {
    match id.parse::<EventId>() {
        Ok(ulid) if ulid.at().millis() == at.millis() => ulid,
        _ => EventId::of_client_id(at, id),
    }
}

/// What the first lines of a dry run become.
pub(super) fn shown(ready: &Ready) -> String {
    let json = &ready.event.json;
    let json = if json.len() > 2_000 { format!("{}…", cut(json, 2_000)) } else { json.clone() };
    format!("line {} ({}): {json}", ready.number, ready.format)
}
