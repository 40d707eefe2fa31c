//! The result of an import, in numbers and words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::json::Malformed;
use super::shape::{Nameless, cut};
use crate::numbers::thousands;

/// Kinds of rejections that are counted separately. All others are counted as one kind.
const KINDS: usize = 50;

/// Why a line was not stored.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It begins like JSON but is not valid JSON.
    Malformed(Malformed),
    /// It has neither a name nor a message.
    Nameless(Nameless),
    /// The file ends in the middle of the line.
    CutOff,
    /// Tally rejected it.
    Refused(String),
}

impl Refusal {
    /// The kind of the reason, which other lines may share.
    fn kind(&self) -> String {
        match self {
            Self::Malformed(_) => "malformed".to_owned(),
            Self::Nameless(_) => "nameless".to_owned(),
            Self::CutOff => "cut off".to_owned(),
            Self::Refused(reason) => {
                cut(reason, 200).chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
            }
        }
    }

    /// Why, in a few words.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Malformed(_) => "not valid JSON".to_owned(),
            Self::Nameless(_) => "neither name nor message".to_owned(),
            Self::CutOff => "the file ends in the middle of it".to_owned(),
            Self::Refused(reason) => reason.clone(),
        }
    }
}

/// The position of a line.
#[derive(Clone, Debug)]
pub(super) struct At {
    /// The file, if there are several.
    pub file: Option<String>,
    /// The line.
    pub number: u64,
}

impl At {
    /// The position in readable form.
    pub(super) fn line(&self) -> String {
        match &self.file {
            Some(file) => format!("{file}: line {}", self.number),
            None => format!("line {}", self.number),
        }
    }
}

#[derive(Debug)]
struct Group {
    count: u64,
    at: At,
    first: Refusal,
}

/// The result for the lines so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Lines that are new.
    pub new: u64,
    /// Lines that were stored before.
    pub known: u64,
    /// Lines that are stored; whether they are new is unknown.
    pub untold: u64,
    /// Lines that were not stored.
    pub refused: u64,
    /// Lines that belong to the previous line.
    pub joined: u64,
    groups: BTreeMap<String, Group>,
    rejects: Option<BufWriter<File>>,
}

impl Summary {
    /// A summary that writes all rejected lines to a file.
    pub(super) fn new(rejects: Option<&Path>) -> std::io::Result<Self> {
        let rejects = rejects.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self { rejects, ..Self::default() })
    }

    /// Records a line that was not stored.
    pub(super) fn refuse(&mut self, at: At, text: &str, refusal: Refusal) -> std::io::Result<()> {
        self.refused += 1;
        if let Some(rejects) = &mut self.rejects {
            let reject = json!({"file": at.file, "line": at.number, "reason": refusal.reason(), "text": text});
            writeln!(rejects, "{reject}")?;
        }
        let mut kind = refusal.kind();
        if self.groups.len() >= KINDS && !self.groups.contains_key(&kind) {
            "other".clone_into(&mut kind);
        }
        self.groups.entry(kind).or_insert(Group { count: 0, at, first: refusal }).count += 1;
        Ok(())
    }

    /// Flushes the file of rejected lines.
    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        self.rejects.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Lines that are stored.
    pub(super) fn stored(&self) -> u64 {
        self.new + self.known + self.untold
    }

    /// Lines that were read, except continuation lines.
    fn lines(&self) -> u64 {
        self.stored() + self.refused
    }

    /// The numbers in one line.
    pub(super) fn numbers(&self) -> String {
        // Writing to a text cannot fail.
        let lines = self.lines();
        let mut text = format!("{} {}: ", thousands(lines), if lines == 1 { "line" } else { "lines" });
        if self.untold > 0 {
            let _ = write!(text, "{} stored, new or already there; ", thousands(self.untold));
        }
        if self.untold == 0 || self.new + self.known > 0 {
            let _ = write!(text, "{} new, {} already there, ", thousands(self.new), thousands(self.known));
        }
        let _ = write!(text, "{} refused", thousands(self.refused));
        if self.joined > 0 {
            let _ = write!(text, "; {} more belong to the line before", thousands(self.joined));
        }
        text
    }

    /// The rejections, one line for each kind, most frequent first.
    pub(super) fn refusals(&self) -> Vec<String> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups.into_iter().map(Group::line).collect()
    }
}

impl Group {
    fn line(&self) -> String {
        let (count, at) = (thousands(self.count), self.at.line());
        let one = self.count == 1;
        match &self.first {
            Refusal::Malformed(Malformed { column, .. }) => {
                let first = format!("{at}, column {column}: not valid JSON");
                if one { first } else { format!("{count} lines are not valid JSON; the first: {first}") }
            }
            Refusal::Nameless(nameless) => {
                let have = if one { "line has" } else { "lines have" };
                let keys = if nameless.keys.is_empty() { "too many keys".to_owned() } else { nameless.keys.join(", ") };
                format!(
                    "{count} {have} neither name nor message; the first ({at}) has {keys}: try {}",
                    advice(nameless)
                )
            }
            other if one => format!("{at}: {}", other.reason()),
            other => format!("{count} lines; the first, {at}: {}", other.reason()),
        }
    }
}

fn advice(nameless: &Nameless) -> String {
    let mut words = match &nameless.message {
        Some(key) => format!("--map message={key}"),
        None => return "--map name=KEY, or --set name=NAME".to_owned(),
    };
    if let Some(key) = &nameless.time {
        let _ = write!(words, " timestamp={key}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> At {
        At { file: None, number }
    }

    #[test]
    fn numbers_are_what_people_need() {
        let summary = Summary { known: 120_000, ..Summary::default() };
        assert_eq!(summary.numbers(), "120,000 lines: 0 new, 120,000 already there, 0 refused");
        let summary = Summary { new: 1, joined: 4, ..Summary::default() };
        assert_eq!(summary.numbers(), "1 line: 1 new, 0 already there, 0 refused; 4 more belong to the line before");
        let summary = Summary { untold: 5, ..Summary::default() };
        assert_eq!(summary.numbers(), "5 lines: 5 stored, new or already there; 0 refused");
    }

    #[test]
    fn refusals_are_grouped_and_say_what_to_do() {
        let mut summary = Summary::default();
        let nameless = || {
            Refusal::Nameless(Nameless {
                keys: ["level", "time", "pid", "what"].map(str::to_owned).to_vec(),
                message: Some("what".to_owned()),
                time: Some("when".to_owned()),
            })
        };
        for number in 1..=200 {
            summary.refuse(at(number), "", nameless()).expect("kept nowhere");
        }
        summary.refuse(at(2), "", Refusal::Malformed(Malformed { line: 2, column: 34 })).expect("kept nowhere");
        for number in [5, 6] {
            summary
                .refuse(at(number), "", Refusal::Refused(format!("`timestamp`: 202{number} is too old")))
                .expect("kept nowhere");
        }
        assert_eq!(
            summary.refusals(),
            [
                "200 lines have neither name nor message; the first (line 1) has level, time, pid, what: try --map message=what timestamp=when",
                "2 lines; the first, line 5: `timestamp`: 2025 is too old",
                "line 2, column 34: not valid JSON",
            ]
        );
    }

    #[test]
    fn kinds_of_refusals_are_bounded() {
        let mut summary = Summary::default();
        for n in 0..200u8 {
            summary.refuse(at(1), "", Refusal::Refused("x".repeat(usize::from(n)))).expect("kept nowhere");
        }
        assert_eq!((summary.refused, summary.refusals().len()), (200, KINDS + 1));
    }
}
