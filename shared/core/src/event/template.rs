//! The template of a message: what is left of it once ids, times, addresses and numbers are placeholders. Messages of the same
//! template are counted together.
//!
//! This is `template-1`. It is frozen: counters hold hashes of templates, and an erasure must meet the counter that the event
//! was added to. A better rule is a new version beside this one, chosen by an app's layout.
//!
//! # The rules
//!
//! A *word* is a run of ASCII letters and digits; everything else, `_` too, ends one. At each place the first rule that matches
//! applies, from the left:
//!
//! 1. An e-mail address is `<email>`: letters, digits and `._%+-`, `@`, and labels with dots between them, of which the last begins
//!    with a letter and has two characters or more. Of `a@b.com@c.com` the last is one. No other rule takes a part of one.
//! 2. A UUID is `<uuid>`.
//! 3. A time is `<time>`: a date `2026-11-27` or `2026/11/27`, with or without a clock behind ` `, `T` or `_`; a clock `14:03`,
//!    `14:03:07` or `4:03:07`, with or without a fraction behind `.` or `,`; `20261127T140307`. A zone (`Z`, `+02:00`,
//!    `+0200`) belongs to it. What stands behind a `:` is no clock but a line or a port.
//! 4. An IP address is `<ip>`: of version 4, or of version 6 with a decimal digit in it. A port belongs to it: `10.0.0.113:80`,
//!    `[::1]:80`.
//! 5. Six or more pairs of hexadecimal digits with `:` between them (a MAC address, a fingerprint) are `<hex>`.
//! 6. `0x` and hexadecimal digits are `<hex>`, and so is a word of 8 hexadecimal digits or more that has letters and decimal
//!    digits. Without a decimal digit it is a word like any other, without a letter a number.
//! 7. `HTTP/1.1` stays, with any version.
//! 8. A number is `<n>`: a word that begins with a digit, with its decimals (`1.5`), further parts (`1.2.3`), thousands
//!    (`1,234`) and exponent, and with a sign where that cannot be a hyphen. Letters at its end stay: `30s` is `<n>s`, `5MB` is
//!    `<n>MB`. With letters between its digits (`1m30s`, `42P01`) all of it is `<n>`.
//! 9. A number in quotes (`"`, `'` or `` ` ``) is `<n>`, without the quotes.
//! 10. Other words without a digit stay.
//! 11. A word that begins with a letter is an *identifier*, and stays with its digits if these are at most 4: `utf8`, `sha256`,
//!     `E0425`, `i686`, `log4j2`. If `.` and words that begin with a digit follow, they belong to it, and all stays if it has
//!     at most 6 digits: `v1.2.3`, `python3.11`.
//! 12. Of a longer identifier, what is from its first digit to its last is `<n>`, if there are no letters in between:
//!     `cart484509` is `cart<n>`. Otherwise it is an id, and all of it is `<n>`.

use std::net::Ipv6Addr;
use std::str::FromStr;

/// Most digits of an identifier that stays.
const FEW_DIGITS: usize = 4;
/// Most digits of an identifier with parts behind dots that stays.
const FEW_DIGITS_OF_VERSION: usize = 6;
/// Fewest digits of a hexadecimal number without `0x`.
const HEX_DIGITS: usize = 8;
/// The lengths of the parts of a UUID.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];
/// Most bytes of an IPv6 address.
const MAX_IPV6: usize = 45;

const EMAIL: &str = "<email>";
const ID: &str = "<uuid>";
const TIME: &str = "<time>";
const IP: &str = "<ip>";
const HEX: &str = "<hex>";
const NUMBER: &str = "<n>";
const PLACEHOLDERS: [&str; 6] = [EMAIL, ID, TIME, IP, HEX, NUMBER];

/// The template of a message, by `template-1`: see the [rules](self). The template of a template is itself. It takes time in
/// proportion to the length, and is at most twice as long, and a few bytes.
pub fn template(message: &str) -> String {
    let text = Text(message.as_bytes());
    let mut template = String::with_capacity(message.len() + 16);
    // Up to here all is in the template; from `copied` to `at`, it is as it was.
    let (mut at, mut copied) = (0, 0);
    while at < message.len() {
        let (end, placeholder) = text.step(at);
        if let Some((start, end, placeholder)) = placeholder {
            // All that is matched begins and ends with ASCII, so these are boundaries of characters.
            template.push_str(message.get(copied..start).unwrap_or_default());
            template.push_str(placeholder);
            copied = end;
        }
        at = end;
    }
    template.push_str(message.get(copied..).unwrap_or_default());
    template
}

/// What becomes a placeholder: from, to, and which.
type Placed = (usize, usize, &'static str);

/// Whether a byte may stand in the local part of an e-mail address.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

#[derive(Clone, Copy)]
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// Where the next step begins, and what becomes a placeholder before it.
    fn step(self, at: usize) -> (usize, Option<Placed>) {
        let whole = |end: usize, placeholder| (end, Some((at, end, placeholder)));
        let byte = self.byte(at);
        if let Some(end) = self.email(at) {
            return whole(end, EMAIL);
        }
        if let Some(end) = self.ipv6(at) {
            return whole(end, IP);
        }
        match byte {
            b'"' | b'\'' | b'`' => match self.signed(at + 1) {
                Some((end, letters)) if letters == end && self.byte(end) == byte => whole(end + 1, NUMBER),
                _ => (at + 1, None),
            },
            b'+' | b'-' if self.may_be_sign(at) => match self.number_only(at + 1) {
                Some((end, letters)) => (end, Some((at, letters, NUMBER))),
                None => (at + 1, None),
            },
            _ if !byte.is_ascii_alphanumeric() || self.is_word(at.wrapping_sub(1)) => (at + 1, None),
            _ => self.word(at),
        }
    }

    /// A step at the start of a word.
    fn word(self, at: usize) -> (usize, Option<Placed>) {
        let whole = |end: usize, placeholder| (end, Some((at, end, placeholder)));
        if let Some(end) = self.uuid(at) {
            return whole(end, ID);
        }
        if let Some(end) = self.time(at) {
            return whole(end, TIME);
        }
        if let Some(end) = self.ipv4(at) {
            return whole(end, IP);
        }
        if let Some(end) = self.pairs(at).or_else(|| self.hex(at)) {
            return whole(end, HEX);
        }
        if let Some(end) = self.protocol(at) {
            return (end, None);
        }
        if let Some((end, letters)) = self.number(at) {
            return (end, Some((at, letters, NUMBER)));
        }
        self.identifier(at)
    }

    /// The byte at a place, and 0 outside of the text.
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Whether a byte is part of a word. The place before the first is none.
    fn is_word(self, at: usize) -> bool {
        self.byte(at).is_ascii_alphanumeric()
    }

    /// The end of the run of bytes of a kind that begins at a place.
    fn run(self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        let rest = self.0.get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len())
    }

    fn word_end(self, from: usize) -> usize {
        self.run(from, |byte| byte.is_ascii_alphanumeric())
    }

    /// Whether a placeholder stands right before or right behind what is between two places. Then it was part of something
    /// else, and is not what it looks like now: that makes the template of a template itself.
    fn is_cut(self, from: usize, to: usize) -> bool {
        let (before, behind) = (self.0.get(..from), self.0.get(to..));
        PLACEHOLDERS.iter().any(|placeholder| {
            before.is_some_and(|text| text.ends_with(placeholder.as_bytes()))
                || behind.is_some_and(|text| text.starts_with(placeholder.as_bytes()))
        })
    }

    /// An e-mail address: a local part, `@`, and labels with dots between them, up to the last label that begins with a letter
    /// and has two characters or more. It is looked for where a local part begins, so each is read once.
    fn email(self, at: usize) -> Option<usize> {
        if !is_local(self.byte(at)) || at.checked_sub(1).is_some_and(|before| is_local(self.byte(before))) {
            return None;
        }
        let local = self.run(at, is_local);
        // Of `a@b.com@c.com` the last is the address.
        let behind = self.run(local + 1, is_local);
        if self.byte(local) != b'@' || self.byte(behind) == b'@' || self.is_cut(usize::MAX, behind) {
            return None;
        }
        let (mut label, mut found) = (local + 1, None);
        loop {
            let end = self.run(label, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if label > local + 1 && end >= label + 2 && self.byte(label).is_ascii_alphabetic() {
                found = Some(end);
            }
            if end == label || self.byte(end) != b'.' {
                return found;
            }
            label = end + 1;
        }
    }

    /// An end, unless an e-mail address begins before it and goes on behind it. That one is looked for where it begins.
    fn before_email(self, at: usize, end: usize) -> Option<usize> {
        let inside = self.0.get(at..end)?;
        let begin = at + inside.iter().rposition(|byte| !is_local(*byte)).map_or(0, |last| last + 1);
        let goes_on = is_local(self.byte(end)) && begin > at && begin < end;
        (!goes_on || self.email(begin).is_none()).then_some(end)
    }

    fn uuid(self, at: usize) -> Option<usize> {
        let mut end = at;
        for (i, length) in UUID.into_iter().enumerate() {
            if i > 0 {
                if self.byte(end) != b'-' {
                    return None;
                }
                end += 1;
            }
            if self.hex_run(end, length) != length {
                return None;
            }
            end += length;
        }
        (!self.is_word(end) && !self.is_cut(at, end)).then_some(end)
    }

    /// How many hexadecimal digits follow each other, up to one more than `most`.
    fn hex_run(self, from: usize, most: usize) -> usize {
        (from..=from + most).take_while(|at| self.byte(*at).is_ascii_hexdigit()).count()
    }

    /// The value of exactly so many decimal digits, if it is in a range.
    fn digits(self, at: usize, count: usize, (from, to): (u32, u32)) -> Option<usize> {
        let mut value = 0;
        for place in at..at + count {
            let digit = self.byte(place).wrapping_sub(b'0');
            value = value * 10 + u32::from(Some(digit).filter(|digit| *digit < 10)?);
        }
        (from..=to).contains(&value).then_some(at + count)
    }

    /// A date, a clock, or both.
    fn time(self, at: usize) -> Option<usize> {
        let end = match self.date(at) {
            Some(date) => {
                let clock = matches!(self.byte(date), b'T' | b't' | b' ' | b'_').then(|| self.clock(date + 1));
                match clock.flatten() {
                    Some(clock) => self.zone(clock),
                    None => date,
                }
            }
            None => match self.compact(at) {
                Some(compact) => self.zone(compact),
                None if at.checked_sub(1).is_some_and(|before| self.byte(before) == b':') => return None,
                None => self.zone(self.clock(at)?),
            },
        };
        // `12:30:45:10` is no time, and neither is `10:30pm`.
        let goes_on = self.is_word(end) || self.byte(end) == b':' && self.byte(end + 1).is_ascii_digit();
        if goes_on { None } else { self.before_email(at, end) }
    }

    fn date(self, at: usize) -> Option<usize> {
        let year = self.digits(at, 4, (1000, 9999))?;
        let separator = Some(self.byte(year)).filter(|byte| matches!(byte, b'-' | b'/'))?;
        let month = self.digits(year + 1, 2, (1, 12))?;
        if self.byte(month) != separator {
            return None;
        }
        let day = self.digits(month + 1, 2, (1, 31))?;
        (!self.byte(day).is_ascii_digit()).then_some(day)
    }

    /// `20261127T140307`
    fn compact(self, at: usize) -> Option<usize> {
        let year = self.digits(at, 4, (1000, 9999))?;
        let day = self.digits(self.digits(year, 2, (1, 12))?, 2, (1, 31))?;
        if self.byte(day) != b'T' {
            return None;
        }
        let minute = self.digits(self.digits(day + 1, 2, (0, 23))?, 2, (0, 59))?;
        self.digits(minute, 2, (0, 60))
    }

    /// Hours, minutes, and perhaps seconds with a fraction. Hours of one digit need seconds.
    fn clock(self, at: usize) -> Option<usize> {
        let two = self.digits(at, 2, (0, 24));
        let hour = two.or_else(|| self.digits(at, 1, (0, 9)))?;
        let part = |end: usize, to| if self.byte(end) == b':' { self.digits(end + 1, 2, (0, to)) } else { None };
        let minute = part(hour, 59)?;
        let Some(second) = part(minute, 60) else { return two.and(Some(minute)) };
        let has_fraction = matches!(self.byte(second), b'.' | b',') && self.byte(second + 1).is_ascii_digit();
        Some(if has_fraction { self.run(second + 1, |byte| byte.is_ascii_digit()) } else { second })
    }

    /// The end of the zone behind a clock, or of the clock.
    fn zone(self, at: usize) -> usize {
        match self.byte(at) {
            b'Z' | b'z' if !self.is_word(at + 1) => at + 1,
            b'+' | b'-' => {
                let hour = self.digits(at + 1, 2, (0, 23));
                let minute = hour.and_then(|hour| self.digits(hour + usize::from(self.byte(hour) == b':'), 2, (0, 59)));
                minute.filter(|end| !self.is_word(*end)).unwrap_or(at)
            }
            _ => at,
        }
    }

    fn ipv4(self, at: usize) -> Option<usize> {
        let mut end = at;
        for part in 0..4 {
            if part > 0 {
                if self.byte(end) != b'.' {
                    return None;
                }
                end += 1;
            }
            let digits = (end..end + 4).take_while(|place| self.byte(*place).is_ascii_digit()).count();
            end = self.digits(end, digits, (0, 255)).filter(|_| (1..=3).contains(&digits))?;
        }
        let goes_on = self.is_word(end) || self.byte(end) == b'.' && self.is_word(end + 1);
        if goes_on { None } else { self.before_email(at, self.port(end)) }
    }

    /// The end of the port behind an address, or of the address.
    fn port(self, at: usize) -> usize {
        let digits = (at + 1..at + 7).take_while(|place| self.byte(*place).is_ascii_digit()).count();
        let end = at + 1 + digits;
        if self.byte(at) == b':' && (1..=5).contains(&digits) && !self.is_word(end) { end } else { at }
    }

    fn ipv6(self, at: usize) -> Option<usize> {
        let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let open = usize::from(self.byte(at) == b'[');
        let start = at + open;
        let before = at.checked_sub(1).map_or(0, |before| self.byte(before));
        if !is_part(self.byte(start)) || open == 0 && (is_part(before) || before.is_ascii_alphanumeric()) {
            return None;
        }
        let run = self.run(start, is_part);
        if run - start > MAX_IPV6 + 1 || self.is_word(run) || self.is_cut(start, run) {
            return None;
        }
        let is_address = |end: usize| {
            let text = std::str::from_utf8(self.0.get(start..end).unwrap_or_default()).unwrap_or_default();
            text.bytes().any(|byte| byte.is_ascii_digit()) && text.contains(':') && Ipv6Addr::from_str(text).is_ok()
        };
        // A sentence may end with it, or a list begin behind it.
        let is_ended = matches!(self.byte(run - 1), b'.' | b':');
        let end = if is_address(run) { run } else { Some(run - 1).filter(|end| is_ended && is_address(*end))? };
        match open {
            0 => self.before_email(at, end),
            _ if self.byte(end) != b']' => None,
            // Brackets without a port may be those of a list.
            _ => self.before_email(at, self.port(end + 1)).filter(|port| *port > end + 1),
        }
    }

    /// Pairs of hexadecimal digits, at least six. A pair that was part of something else is none.
    fn pairs(self, at: usize) -> Option<usize> {
        if self.is_cut(at, usize::MAX) {
            return None;
        }
        let (mut end, mut count) = (at, 0);
        loop {
            let pair = if count == 0 { at } else { end + 1 };
            let goes_on = count == 0 || self.byte(end) == b':';
            let is_pair = goes_on
                && self.hex_run(pair, 2) == 2
                && !self.is_word(pair + 2)
                && !self.is_cut(usize::MAX, pair + 2)
                && (count == 0 || self.email(pair).is_none());
            if !is_pair {
                return (count >= 6).then_some(end);
            }
            (end, count) = (pair + 2, count + 1);
        }
    }

    fn hex(self, at: usize) -> Option<usize> {
        let end = self.word_end(at);
        let word = self.0.get(at..end)?;
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        let is_prefixed = match word {
            [b'0', b'x' | b'X', digits @ ..] => !digits.is_empty() && is_hex(digits),
            _ => false,
        };
        let has = |is: fn(&u8) -> bool| word.iter().any(is);
        let is_long = word.len() >= HEX_DIGITS && is_hex(word);
        (is_prefixed || is_long && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)).then_some(end)
    }

    /// `HTTP/1.1`
    fn protocol(self, at: usize) -> Option<usize> {
        let rest = self.0.get(at..)?.strip_prefix(b"HTTP/")?;
        let major = self.run(at + 5, |byte| byte.is_ascii_digit());
        let end = if self.byte(major) == b'.' { self.run(major + 1, |byte| byte.is_ascii_digit()) } else { major };
        let end = if end == major + 1 { major } else { end };
        (rest.first()?.is_ascii_digit() && end - at <= 8 && !self.is_word(end)).then_some(end)
    }

    /// A number, its sign too.
    fn signed(self, at: usize) -> Option<(usize, usize)> {
        self.number_only(at + usize::from(matches!(self.byte(at), b'+' | b'-')))
    }

    /// A number that is nothing else.
    fn number_only(self, at: usize) -> Option<(usize, usize)> {
        let is_other = [self.uuid(at), self.time(at), self.ipv4(at), self.pairs(at), self.hex(at)];
        if is_other.iter().any(Option::is_some) || self.ipv6(at).is_some() { None } else { self.number(at) }
    }

    /// Whether a `+` or `-` is a sign and no hyphen.
    fn may_be_sign(self, at: usize) -> bool {
        let before = at.checked_sub(1).map(|before| self.byte(before));
        self.byte(at + 1).is_ascii_digit()
            && before.is_none_or(|before| before.is_ascii_whitespace() || b"=:,;([{<>|/*".contains(&before))
            && !self.is_cut(at, at)
    }

    /// A number: where it ends, and where the letters at its end begin.
    fn number(self, at: usize) -> Option<(usize, usize)> {
        if !self.byte(at).is_ascii_digit() {
            return None;
        }
        let mut end = self.word_end(at);
        loop {
            let next = self.word_end(end + 1);
            let digits = self.run(end + 1, |byte| byte.is_ascii_digit()) - end - 1;
            let is_exponent = matches!(self.byte(end - 1), b'e' | b'E') && self.byte(end - 2).is_ascii_digit();
            let goes_on = match self.byte(end) {
                b'.' => digits > 0,
                b',' => digits == 3 && self.byte(end - 1).is_ascii_digit() && self.email(end + 1).is_none(),
                b'+' | b'-' => end >= at + 2 && digits > 0 && is_exponent,
                _ => false,
            };
            if !goes_on {
                break;
            }
            end = next;
        }
        let letters = self.letters_at_end(at, end);
        let is_mixed = self.0.get(at..letters)?.iter().any(u8::is_ascii_alphabetic);
        Some((end, if is_mixed { end } else { letters }))
    }

    /// Where the letters at the end of a part of the text begin.
    fn letters_at_end(self, from: usize, to: usize) -> usize {
        let part = self.0.get(from..to).unwrap_or_default();
        from + part.iter().rposition(|byte| !byte.is_ascii_alphabetic()).map_or(0, |last| last + 1)
    }

    /// A word that begins with a letter.
    fn identifier(self, at: usize) -> (usize, Option<Placed>) {
        let word = self.word_end(at);
        let count =
            |to: usize| self.0.get(at..to).unwrap_or_default().iter().filter(|byte| byte.is_ascii_digit()).count();
        let digits = count(word);
        if digits == 0 {
            return (word, None);
        }
        let mut end = word;
        while self.byte(end) == b'.' && self.byte(end + 1).is_ascii_digit() {
            end = self.word_end(end + 1);
        }
        let most = if end > word { FEW_DIGITS_OF_VERSION } else { FEW_DIGITS };
        if digits <= FEW_DIGITS && count(end) <= most {
            return (end, None);
        }
        let first = self.run(at, |byte| byte.is_ascii_alphabetic());
        let letters = self.letters_at_end(at, end);
        let is_mixed = self.0.get(first..letters).unwrap_or_default().iter().any(u8::is_ascii_alphabetic);
        (end, Some(if is_mixed { (at, end, NUMBER) } else { (first, letters, NUMBER) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Messages of real software with their templates, written by hand: a message, a tab, its template. Never to change.
    const MESSAGES: &str = include_str!("template/messages.tsv");

    fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
        let rows = MESSAGES.lines().filter(|line| !line.starts_with("# "));
        rows.map(|row| row.split_once('\t').expect("a tab"))
    }

    #[test]
    fn messages_of_real_software_have_these_templates_for_ever() {
        assert!(rows().count() >= 200);
        let wrong: Vec<_> = rows()
            .map(|(message, expected)| (message, template(message), expected))
            .filter(|(_, found, expected)| found != expected)
            .map(|(message, found, expected)| format!("{message}\n  is  {found}\n  not {expected}"))
            .collect();
        assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
        for (_, expected) in rows() {
            assert_eq!(template(expected), expected);
        }
    }

    #[test]
    fn it_takes_time_in_proportion_to_the_length() {
        // Each would take minutes if any rule read the rest of the text at each place.
        let pieces =
            ["aa:", "1.", "a.", "a@", "1e-", "-1", "\"1", "[::", "f", "1", "a1.", "0:00:00.", "HTTP/1", "aa:<n>"];
        for piece in pieces {
            let long = piece.repeat(400_000 / piece.len());
            assert!(template(&long).len() <= 2 * long.len() + 16, "{piece}");
        }
    }

    /// Texts of the pieces that the rules are about.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "0",
            "1",
            "5",
            "12",
            "23",
            "2026",
            "255",
            "12345",
            "a",
            "b",
            "e",
            "f",
            "x",
            "z",
            "v",
            "ab",
            "fe80",
            "T",
            "Z",
            "é",
            "章",
            ".",
            ":",
            "-",
            "+",
            "_",
            "@",
            "/",
            ",",
            " ",
            "\"",
            "'",
            "`",
            "[",
            "]",
            "<",
            ">",
            "=",
            "::",
            "0x",
            "HTTP/",
            "com",
            "<n>",
            "<ip>",
            "<hex>",
            "<time>",
            "<uuid>",
            "<email>",
            "abcdefab",
            "abcd",
            "2026-11-27",
            "10:30",
            "10.0.0.1",
            "aa:bb:cc:dd:ee:ff",
            "550e8400-e29b-41d4-a716-446655440000",
            "abcdefab-abcd-abcd-abcd-abcdefabcdef",
            "fe80::a1",
        ]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_template_of_a_template_is_itself(message in prop_oneof![3 => pieces(), 1 => ".{0,60}"]) {
            let once = template(&message);
            prop_assert_eq!(template(&once), once.as_str(), "{}", message);
            prop_assert!(once.len() <= 2 * message.len() + 16, "{}", message);
        }

        #[test]
        fn numbers_do_not_tell_messages_apart(a in 0u64..u64::MAX, b in 0u64..u64::MAX, text in "[ a-z]{0,20}") {
            prop_assert_eq!(template(&format!("{text} {a} {text}")), template(&format!("{text} {b} {text}")));
        }
    }
}
