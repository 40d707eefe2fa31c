//! A page of an export: how many events it has, and of which times.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use serde::Deserialize;

/// How zstd weighs time against size.
const ZSTD_LEVEL: i32 = 3;

/// What events are written as.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
}

impl Format {
    /// The name in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }
}

/// How a file is compressed. Each page is a member of its own: members in a row are one file of gzip, and of zstd, and what
/// was written is complete after each page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

impl Compression {
    /// What the name of a file says.
    pub(super) fn of(file: &Path) -> Self {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The page as it is written.
    pub(super) fn compress(self, page: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            _ if page.is_empty() => Ok(Vec::new()),
            Self::None => Ok(page.to_vec()),
            Self::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(page)?;
                gzip.finish()
            }
            Self::Zstd => zstd::bulk::compress(page, ZSTD_LEVEL),
        }
    }
}

/// What is known of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Its events.
    pub(super) events: u64,
    /// The times of its first and its last event, where they are written.
    pub(super) first: Option<String>,
    /// See `first`.
    pub(super) last: Option<String>,
    /// The head of a file of CSV.
    pub(super) fields: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Timed {
    timestamp: Option<String>,
}

impl Page {
    /// Looks at a page. The first one of a file of CSV has its head; `fields` is what it said.
    pub(super) fn of(page: &[u8], format: Format, is_first: bool, fields: Option<&[String]>) -> Self {
        let mut records = records(page, format == Format::Csv);
        if format == Format::Ndjson {
            let time = |record: &&[u8]| serde_json::from_slice::<Timed>(record).ok()?.timestamp;
            return Self {
                events: records.len() as u64,
                first: records.first().and_then(time),
                last: records.last().and_then(time),
                fields: None,
            };
        }
        let head = if is_first && !records.is_empty() { Some(cells(records.remove(0))) } else { None };
        let place = head.as_deref().or(fields).and_then(|fields| fields.iter().position(|field| field == "timestamp"));
        let time = |record: &&[u8]| cells(record).into_iter().nth(place?);
        Self {
            events: records.len() as u64,
            first: records.first().and_then(time),
            last: records.last().and_then(time),
            fields: head,
        }
    }
}

/// The records of a page: its lines, but for those within quotes.
fn records(page: &[u8], quotes: bool) -> Vec<&[u8]> {
    let (mut records, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in page.iter().enumerate() {
        match byte {
            b'"' if quotes => quoted = !quoted,
            b'\n' if !quoted => {
                records.push(&page[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    records
}

/// The cells of a record.
fn cells(record: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(record);
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_page_tells_its_events_and_their_times() {
        let text = |text: &str| Some(text.to_owned());
        let page =
            Page::of(b"{\"timestamp\":\"a\"}\n{\"x\":\"\\n\"}\n{\"timestamp\":\"c\"}\n", Format::Ndjson, true, None);
        assert_eq!(page, Page { events: 3, first: text("a"), last: text("c"), fields: None });
        let first = Page::of(b"id,timestamp\r\n1,a\r\n\"2 \"\"x\"\"\nand,more\",b\r\n", Format::Csv, true, None);
        let fields = vec!["id".to_owned(), "timestamp".to_owned()];
        assert_eq!(first, Page { events: 2, first: text("a"), last: text("b"), fields: Some(fields.clone()) });
        let second = Page::of(b"3,c\r\n", Format::Csv, false, Some(&fields));
        assert_eq!(second, Page { events: 1, first: text("c"), last: text("c"), fields: None });
        assert_eq!(Page::of(b"", Format::Csv, false, Some(&fields)), Page::default());
    }

    #[test]
    fn compressed_pages_are_one_file() {
        for (file, is) in
            [("a.ndjson", Compression::None), ("a.ndjson.gz", Compression::Gzip), ("a.csv.zst", Compression::Zstd)]
        {
            assert_eq!(Compression::of(Path::new(file)), is);
        }
        let pages = |compression: Compression| {
            [&b"one\n"[..], b"", b"two\n"]
                .iter()
                .flat_map(|page| compression.compress(page).expect("compressed"))
                .collect::<Vec<_>>()
        };
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&*pages(Compression::Gzip)).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, "one\ntwo\n");
        assert_eq!(zstd::decode_all(&*pages(Compression::Zstd)).expect("zstd"), b"one\ntwo\n");
        assert_eq!(pages(Compression::None), b"one\ntwo\n");
    }
}
