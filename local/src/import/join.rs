//! Text lines that belong to the previous line: stack traces, and other clear continuations of a line with a time. A
//! line that may be separate is treated as separate.

use super::format::Text;

/// Maximum bytes of joined lines.
pub(super) const MAX_JOINED: usize = 128 * 1024;

/// The state of a line and the lines joined to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    text: Text,
    /// Whether the lines before are frames of a stack trace.
    in_trace: bool,
    /// Whether that trace is of Python, whose last line is not indented.
    in_python: bool,
}

impl Block {
    /// A line that others may follow.
    pub(super) fn new(text: Text, line: &str) -> Self {
        let (in_trace, in_python) = (opens_trace(line), is_traceback(line));
        Self { text, in_trace, in_python }
    }

    /// Whether a line without a time belongs to the previous lines. If it does, it is added to them.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let indented = line.starts_with([' ', '\t']);
        let taken = match self.text {
            Text::None => false,
            Text::Stamped if indented || continues(line) => true,
            Text::Stamped | Text::Other | Text::Plain => {
                is_frame(line) || (self.in_trace && (indented || self.in_python || line.ends_with(')')))
            }
        };
        if taken {
            if is_traceback(line) {
                self.in_python = true;
            } else if self.in_python && !indented {
                (self.in_trace, self.in_python) = (false, false);
                return true;
            }
            self.in_trace |= is_frame(line);
        }
        taken
    }
}

/// Whether a line without a time continues a line with a time: JSON over several lines, or the name of an exception.
fn continues(line: &str) -> bool {
    let name = line.split([':', ' ', '(']).next().unwrap_or("");
    let named = ["Error", "Exception", "Throwable", "Warning", "Interrupt"].iter().any(|ending| name.ends_with(ending));
    let is_path = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$:".contains(&b));
    line.starts_with(['{', '}', '[', ']']) || (named && is_path) || line.starts_with("panic: ")
}

fn opens_trace(line: &str) -> bool {
    is_traceback(line) || line.starts_with("goroutine ") || line.trim_start().starts_with("stack backtrace:")
}

fn is_traceback(line: &str) -> bool {
    line.trim_start().starts_with("Traceback (most recent call last)")
}

/// Whether a line on its own is recognizable as part of a stack trace.
fn is_frame(line: &str) -> bool {
    let bare = line.trim_start();
    let indented = bare.len() < line.len();
    let begins = |words: &[&str]| words.iter().any(|word| bare.starts_with(word));
    let after_number = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = after_number.len() < bare.len() && after_number.starts_with(": ");
    opens_trace(line)
        || begins(&[
            "Caused by:",
            "Suppressed:",
            "During handling of the above exception",
            "The above exception was the direct cause",
        ])
        || (indented
            && (numbered
                || begins(&["at ", "File \"", "from ", "... ", "--- End of ", "#"])
                || bare.contains(".go:")
                || bare.contains(".rs:")))
        || (bare.starts_with('#') && bare.as_bytes().get(1).is_some_and(u8::is_ascii_digit) && bare.contains(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the lines after the first belong to it.
    fn joined(text: Text, lines: &str) -> usize {
        let mut lines = lines.lines();
        let mut block = Block::new(text, lines.next().unwrap_or(""));
        lines.take_while(|line| block.take(line)).count()
    }

    #[test]
    fn the_frames_of_many_languages_belong_to_their_line() {
        for (trace, frames) in [
            ("java.lang.X: bad\n\tat a.B.c(B.java:1)\n\t... 3 more\nCaused by: y\n\tat d\nnext", 4),
            ("Error: bad\n    at f (a.js:1:2)\n    at node:internal\nnext", 2),
            ("Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    f()\nValueError: bad\nnext", 3),
            ("panic: bad\ngoroutine 1 [running]:\nmain.main()\n\t/a/b.go:5 +0x1d\nnext", 3),
            ("bad (RuntimeError)\n\tfrom a.rb:1:in `f'\nnext", 1),
            ("System.X: bad\n   at A.B() in a.cs:line 3\n   --- End of inner exception stack trace ---\nnext", 2),
            ("thread 'main' panicked\nstack backtrace:\n   0: core::f\n             at ./src/main.rs:3:5\nnext", 3),
            ("PHP Fatal error: bad\n#0 a.php(1): f()\n#1 {main}: x\nnext", 2),
            ("first\n  indented\nnext", 0),
        ] {
            assert_eq!(joined(Text::Plain, trace), frames, "{trace}");
        }
    }

    #[test]
    fn what_goes_on_belongs_to_a_line_that_has_a_time() {
        let trace = "2026-11-26 09:00:00 bad\njava.lang.IllegalStateException: y\n  at z\nCaused by: z\nmore";
        assert_eq!(joined(Text::Stamped, trace), 3);
        assert_eq!(joined(Text::Stamped, "2026-11-26 09:00:00 bad\n{\n  \"a\": 1\n}\nmore"), 3);
        assert_eq!(joined(Text::Stamped, "2026-11-26 09:00:00 bad\nTypeError: y\n    at f\nmore"), 2);
        assert_eq!(joined(Text::Stamped, "2026-11-26 09:00:00 bad\nmore"), 0);
        assert_eq!(joined(Text::Other, "level=error msg=bad\n  more"), 0);
        assert_eq!(joined(Text::None, "{}\n    at f (a.js:1:2)"), 0);
    }
}
