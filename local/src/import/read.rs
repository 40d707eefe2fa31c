//! Reads files as lines: decompresses, decodes and follows them. Runs on its own thread, because file and pipe reads
//! block.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use tokio::sync::mpsc::Sender;

/// Maximum bytes of a line that are kept.
pub(super) const MAX_LINE: usize = 1024 * 1024;
/// Maximum white space before the first character of a file.
const MAX_BLANK: usize = 64 * 1024;
/// The largest supported zstd window, as a power of two: that of `zstd --long`.
const ZSTD_WINDOW: u32 = 27;
/// Maximum memory for xz decompression: that of `xz -9`.
const XZ_MEMORY: u64 = 128 * 1024 * 1024;
/// How often a followed file is checked.
const LOOK: Duration = Duration::from_millis(200);
/// When a rotated file is checked for the last time: its writer may still have it open.
const LAST_LOOKS: u32 = 3;

/// The pieces of a file, in order.
#[derive(Debug)]
pub(super) enum Piece {
    /// A file begins. This includes a file that replaces a followed one.
    Open {
        /// Which argument.
        file: usize,
    },
    /// A line, or an element of a JSON document.
    Line(RawLine),
    /// A file ends, possibly early because of a problem.
    Close {
        /// Which argument.
        file: usize,
        /// Why reading stopped.
        problem: Option<io::Error>,
    },
}

/// A raw line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Which argument.
    pub file: usize,
    /// Its number, from 1.
    pub number: u64,
    /// The column that it begins in, from 1.
    pub column: u64,
    /// Bytes of the decoded file before it.
    pub offset: u64,
    /// Its bytes without the end of the line, [`MAX_LINE`] at most.
    pub bytes: Vec<u8>,
    /// How many bytes it has.
    pub length: u64,
    /// Whether the line is complete, and not cut off because the file cannot be read further.
    pub whole: bool,
}

/// How files are read.
#[derive(Clone)]
pub(super) struct Reading {
    /// Whether to wait for more at the end of a file.
    pub follow: bool,
    /// Whether a file may be one JSON document.
    pub documents: bool,
    /// Set when no more lines are needed.
    pub stop: Arc<AtomicBool>,
    /// How much has been read.
    pub progress: ProgressBar,
    /// Where lines go.
    pub to: Sender<Piece>,
}

/// Starts reading: one file after the other, or all at once if they are followed.
pub(super) fn start(files: Vec<PathBuf>, reading: &Reading) {
    let files: Vec<_> = files.into_iter().enumerate().collect();
    let threads = if reading.follow { files.into_iter().map(|file| vec![file]).collect() } else { vec![files] };
    for files in threads {
        let reading = reading.clone();
        std::thread::spawn(move || {
            for (file, path) in files {
                if read_file(file, &path, &reading).is_none() {
                    return;
                }
            }
        });
    }
}

/// Reads a file and the files that replace it. Returns `None` if the receiver is gone.
fn read_file(file: usize, path: &Path, reading: &Reading) -> Option<()> {
    let send = |piece| reading.to.blocking_send(piece).ok();
    loop {
        send(Piece::Open { file })?;
        let rotated = Arc::new(AtomicBool::new(false));
        let problem = match open(path, reading, &rotated) {
            Ok(mut reader) => match begins_document(&mut reader) {
                Ok((prefix, document)) => {
                    let mut reader = Cursor::new(prefix).chain(reader);
                    let mut each = |line| send(Piece::Line(line));
                    if document && reading.documents {
                        read_documents(file, &mut reader, &mut each)?.err()
                    } else {
                        read_lines(file, &mut reader, &mut each)?.err()
                    }
                }
                Err(error) => Some(error),
            },
            Err(error) => Some(error),
        };
        let again = problem.is_none() && rotated.load(Ordering::Relaxed);
        send(Piece::Close { file, problem })?;
        if !again || reading.stop.load(Ordering::Relaxed) {
            return Some(());
        }
    }
}

/// Opens a file, decompresses it (gzip, zstd or xz, by its first bytes) and decodes it (UTF-8 or UTF-16, by its byte
/// order mark).
fn open(path: &Path, reading: &Reading, rotated: &Arc<AtomicBool>) -> io::Result<Box<dyn BufRead>> {
    let mut raw: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(reading.progress.wrap_read(io::stdin())))
    } else {
        Box::new(BufReader::new(reading.progress.wrap_read(File::open(path)?)))
    };
    let start = raw.fill_buf()?;
    let decompressed: Box<dyn Read> = if start.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(raw))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::Decoder::with_buffer(raw)?;
        decoder.window_log_max(ZSTD_WINDOW)?;
        Box::new(decoder)
    } else if start.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
        Box::new(liblzma::bufread::XzDecoder::new_stream(raw, stream))
    } else if reading.follow && path != Path::new("-") {
        drop(raw);
        let (stop, rotated) = (Arc::clone(&reading.stop), Arc::clone(rotated));
        Box::new(Followed { file: File::open(path)?, path: path.to_owned(), read: 0, stop, rotated })
    } else {
        raw
    };
    let decoder =
        DecodeReaderBytesBuilder::new().bom_override(true).utf8_passthru(true).strip_bom(true).build(decompressed);
    Ok(Box::new(BufReader::new(decoder)))
}

/// A file that may grow: its end is that of the program, or that of the file once another took its place.
struct Followed {
    file: File,
    path: PathBuf,
    read: u64,
    stop: Arc<AtomicBool>,
    rotated: Arc<AtomicBool>,
}

impl Read for Followed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut last_looks = 0;
        loop {
            let read = self.file.read(buffer)?;
            self.read += read as u64;
            if read > 0 || self.stop.load(Ordering::Relaxed) {
                return Ok(read);
            }
            if self.is_replaced() {
                last_looks += 1;
                if last_looks > LAST_LOOKS {
                    self.rotated.store(true, Ordering::Relaxed);
                    return Ok(0);
                }
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Followed {
    /// Whether the path now refers to another file, or this file was truncated.
    fn is_replaced(&self) -> bool {
        // Between the two there may be none.
        let (Ok(there), Ok(here)) = (std::fs::metadata(&self.path), self.file.metadata()) else { return false };
        here.len() < self.read || !is_same(&there, &here)
    }
}

#[cfg(unix)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    one.created().ok() == other.created().ok()
}

/// Whether a file is a JSON list of objects, or objects over several lines, and what was read to tell.
fn begins_document(reader: &mut dyn BufRead) -> io::Result<(Vec<u8>, bool)> {
    let mut prefix = Vec::new();
    let mut opened = None;
    while prefix.len() < MAX_BLANK {
        let Some(byte) = next_byte(reader)? else { break };
        prefix.push(byte);
        match (opened, byte) {
            (Some(b'{'), b'\n') | (Some(b'['), b'{' | b']') => return Ok((prefix, true)),
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (None, b'{' | b'[') => opened = Some(byte),
            _ => break,
        }
    }
    Ok((prefix, false))
}

fn next_byte(reader: &mut dyn BufRead) -> io::Result<Option<u8>> {
    let byte = fill(reader)?.first().copied();
    if byte.is_some() {
        reader.consume(1);
    }
    Ok(byte)
}

fn fill(reader: &mut dyn BufRead) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            // Borrowed again: the borrow checker would hold the one of the match for the whole loop.
            Ok(_) => return reader.fill_buf(),
        }
    }
}

/// A line that is being read.
struct Growing {
    line: RawLine,
}

impl Growing {
    fn new(file: usize, number: u64, column: u64, offset: u64) -> Self {
        Self { line: RawLine { file, number, column, offset, bytes: Vec::new(), length: 0, whole: true } }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.line.bytes.len();
        self.line.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.line.length += bytes.len() as u64;
    }
}

/// The result of reading a file to its end: the problem, if there was one; `None` if the receiver is gone.
type Ended = Option<Result<(), io::Error>>;

/// Gives each line.
fn read_lines(file: usize, reader: &mut dyn BufRead, each: &mut dyn FnMut(RawLine) -> Option<()>) -> Ended {
    let (mut number, mut offset) = (1, 0);
    loop {
        let mut growing = Growing::new(file, number, 1, offset);
        let (problem, ended) = loop {
            let buffer = match fill(reader) {
                Ok(buffer) => buffer,
                Err(error) => break (Some(error), false),
            };
            if buffer.is_empty() {
                break (None, false);
            }
            let (part, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&buffer[..end], true),
                None => (buffer, false),
            };
            growing.push(part);
            let used = part.len() + usize::from(ended);
            offset += used as u64;
            reader.consume(used);
            if ended {
                break (None, true);
            }
        };
        let mut line = growing.line;
        line.whole = problem.is_none();
        if line.bytes.last() == Some(&b'\r') && line.length == line.bytes.len() as u64 {
            line.bytes.pop();
            line.length -= 1;
        }
        if line.length > 0 {
            each(line)?;
        }
        if !ended {
            return Some(problem.map_or(Ok(()), Err));
        }
        number += 1;
    }
}

/// Yields each object of a JSON list, or of consecutive objects. Anything else is yielded up to the end of its line.
fn read_documents(file: usize, reader: &mut dyn BufRead, each: &mut dyn FnMut(RawLine) -> Option<()>) -> Ended {
    let (mut number, mut column, mut offset) = (1, 0, 0);
    let mut growing: Option<Growing> = None;
    let (mut depth, mut in_string, mut escaped) = (0u32, false, false);
    let problem = loop {
        let buffer = match fill(reader) {
            Ok([]) => break None,
            Ok(buffer) => buffer,
            Err(error) => break Some(error),
        };
        for &byte in buffer {
            offset += 1;
            column += 1;
            let mut complete = false;
            if let Some(element) = growing.as_mut() {
                if depth == 0 && matches!(byte, b'\n' | b',') {
                    complete = true;
                } else {
                    element.push(&[byte]);
                    if in_string {
                        in_string = escaped || byte != b'"';
                        escaped = byte == b'\\' && !escaped;
                    } else {
                        match byte {
                            b'"' if depth > 0 => in_string = true,
                            b'{' | b'[' if depth > 0 => depth += 1,
                            b'}' | b']' if depth > 0 => {
                                depth -= 1;
                                complete = depth == 0;
                            }
                            _ => {}
                        }
                    }
                }
            } else if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']') {
                let mut element = Growing::new(file, number, column, offset - 1);
                element.push(&[byte]);
                depth = u32::from(byte == b'{');
                growing = Some(element);
            }
            if complete && let Some(element) = growing.take() {
                each(element.line)?;
            }
            if byte == b'\n' {
                number += 1;
                column = 0;
            }
        }
        let used = buffer.len();
        reader.consume(used);
    };
    if let Some(Growing { mut line }) = growing {
        line.whole = depth == 0 && problem.is_none();
        each(line)?;
    }
    Some(problem.map_or(Ok(()), Err))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(u64, u64, u64, String, bool)> {
        let mut reader = BufReader::with_capacity(3, text);
        let mut lines = Vec::new();
        let (prefix, document) = begins_document(&mut reader).expect("bytes in memory");
        let mut reader = Cursor::new(prefix).chain(reader);
        let mut each = |line: RawLine| {
            lines.push((
                line.number,
                line.column,
                line.offset,
                String::from_utf8_lossy(&line.bytes).into_owned(),
                line.whole,
            ));
            Some(())
        };
        let read = if document { read_documents } else { read_lines };
        let problem = read(0, &mut reader, &mut each).expect("listened to");
        assert!(problem.is_ok());
        lines
    }

    fn line(number: u64, column: u64, offset: u64, text: &str) -> (u64, u64, u64, String, bool) {
        (number, column, offset, text.to_owned(), true)
    }

    #[test]
    fn lines_end_as_they_do_anywhere() {
        assert_eq!(lines(b"a\r\n\n  b\nc"), [line(1, 1, 0, "a"), line(3, 1, 4, "  b"), line(4, 1, 8, "c")]);
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"[2026] a\n{b\n"), [line(1, 1, 0, "[2026] a"), line(2, 1, 9, "{b")]);
        assert_eq!(lines(b"{\"a\":1}\n{\n"), [line(1, 1, 0, "{\"a\":1}"), line(2, 1, 8, "{")]);
    }

    #[test]
    fn documents_are_cut_into_their_objects() {
        assert_eq!(
            lines(b" [{\"a\":\"]}\\\"\"},\n  {\"b\":[{}]}, 7\n]"),
            [line(1, 3, 2, r#"{"a":"]}\""}"#), line(2, 3, 18, r#"{"b":[{}]}"#), line(2, 15, 30, "7")]
        );
        assert_eq!(lines(b"{\n\"a\":1\n}\n{\n}"), [line(1, 1, 0, "{\n\"a\":1\n}"), line(4, 1, 10, "{\n}")]);
        let cut = lines(b"[{\"a\":1},{\"b\"");
        assert_eq!((cut.len(), cut[1].4), (2, false));
        assert_eq!(lines(b"[]"), []);
    }

    #[test]
    fn a_line_has_a_bound() {
        let long = vec![b'x'; MAX_LINE + 10];
        let mut lengths = Vec::new();
        let mut each = |line: RawLine| {
            lengths.push((line.bytes.len(), line.length));
            Some(())
        };
        read_lines(0, &mut Cursor::new([&long[..], b"\ny"].concat()), &mut each)
            .expect("listened to")
            .expect("readable");
        assert_eq!(lengths, [(MAX_LINE, MAX_LINE as u64 + 10), (1, 1)]);
    }
}
