//! Reads JavaScript as far as joining modules needs it: words, marks and texts, and how deep in brackets each stands.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    /// A text between quotes.
    Text,
    /// A part of a template, a regular expression or a number.
    Other,
    /// One character of punctuation.
    Mark,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Its first byte.
    pub(crate) start: usize,
    /// The number of brackets around it.
    pub(crate) depth: usize,
}

impl Token<'_> {
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Words after which a slash begins a regular expression.
const BEFORE_REGEX: [&str; 14] = [
    "return",
    "typeof",
    "case",
    "in",
    "of",
    "delete",
    "void",
    "throw",
    "new",
    "else",
    "do",
    "instanceof",
    "await",
    "yield",
];

/// The tokens of a text, without comments.
///
/// # Errors
/// Where the text ends inside of a token or a bracket: the line, and what is missing.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token<'_>>, String> {
    let mut reader = Reader { source, at: 0, brackets: vec![], tokens: vec![] };
    reader.read()?;
    match reader.brackets.pop() {
        None => Ok(reader.tokens),
        Some((bracket, at)) => Err(format!("{}: `{bracket}` is not closed", line(source, at))),
    }
}

/// The line of a byte, from 1 on.
pub(crate) fn line(source: &str, at: usize) -> usize {
    source[..at].matches('\n').count() + 1
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    /// Those that are open, and where. A template's `${` is `$`.
    brackets: Vec<(char, usize)>,
    tokens: Vec<Token<'a>>,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            match c {
                c if c.is_whitespace() => self.at += c.len_utf8(),
                '/' if self.rest().starts_with("//") => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                '/' if self.rest().starts_with("/*") => self.skip_past("*/", 2)?,
                '/' if self.regex_may_begin() => self.regex()?,
                '"' | '\'' => {
                    self.quoted(c)?;
                    self.push(Kind::Text, start);
                }
                '`' => self.template(start)?,
                '0'..='9' => self.word(Kind::Other),
                c if is_word(c) => self.word(Kind::Word),
                '(' | '[' | '{' => {
                    self.mark(c);
                    self.brackets.push((c, start));
                }
                ')' | ']' | '}' => {
                    let Some((open, _)) = self.brackets.pop() else {
                        return Err(format!("{}: `{c}` closes nothing", line(self.source, start)));
                    };
                    if open == '$' {
                        self.template(start)?;
                    } else {
                        self.mark(c);
                    }
                }
                c => self.mark(c),
            }
        }
        Ok(())
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let text = &self.source[start..self.at];
        self.tokens.push(Token { kind, text, start, depth: self.brackets.len() });
    }

    fn mark(&mut self, c: char) {
        let start = self.at;
        self.at += c.len_utf8();
        self.push(Kind::Mark, start);
    }

    fn word(&mut self, kind: Kind) {
        let start = self.at;
        self.at += self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
        self.push(kind, start);
    }

    fn skip_past(&mut self, end: &str, from: usize) -> Result<(), String> {
        let found = self.rest()[from..].find(end);
        let found = found.ok_or_else(|| format!("{}: `{end}` is missing", line(self.source, self.at)))?;
        self.at += from + found + end.len();
        Ok(())
    }

    /// Goes past the closing one of a character that may be escaped.
    fn quoted(&mut self, quote: char) -> Result<(), String> {
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '\n' => break,
                c if c == quote => {
                    self.at += i + 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(format!("{}: `{quote}` is not closed", line(self.source, self.at)))
    }

    /// A part of a template: from its beginning, or the end of a `${…}`, to its end, or the next `${`.
    fn template(&mut self, start: usize) -> Result<(), String> {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '`' => {
                    self.at += i + 1;
                    self.push(Kind::Other, start);
                    return Ok(());
                }
                '$' if chars.peek().is_some_and(|(_, next)| *next == '{') => {
                    self.at += i + 2;
                    self.push(Kind::Other, start);
                    self.brackets.push(('$', start));
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(format!("{}: a template is not closed", line(self.source, start)))
    }

    fn regex_may_begin(&self) -> bool {
        self.tokens.last().is_none_or(|last| match last.kind {
            Kind::Word => BEFORE_REGEX.contains(&last.text),
            Kind::Text | Kind::Other => last.text.ends_with("${"),
            Kind::Mark => !matches!(last.text, ")" | "]" | "}"),
        })
    }

    fn regex(&mut self) -> Result<(), String> {
        let start = self.at;
        let mut in_class = false;
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '[' => in_class = true,
                ']' => in_class = false,
                '\n' => break,
                '/' if !in_class => {
                    self.at += i + 1;
                    self.at += self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
                    self.push(Kind::Other, start);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(format!("{}: a regular expression is not closed", line(self.source, start)))
    }
}
