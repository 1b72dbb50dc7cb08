//! How Go writes and reads small things: floats, quoted strings, times, base64.

/// The shortest decimal digits of a finite float and the position of its point.
fn digits_of(scientific: &str) -> (bool, String, i32) {
    let (negative, body) = match scientific.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, scientific),
    };
    let (mantissa, exponent) = body.split_once('e').unwrap_or((body, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    (negative, digits, exponent.parse::<i32>().unwrap_or(0) + 1)
}

fn with_exponent(negative: bool, digits: &str, point: i32, pad: bool) -> String {
    let mut out = String::from(if negative { "-" } else { "" });
    let (head, tail) = digits.split_at(1.min(digits.len()));
    out.push_str(head);
    if !tail.is_empty() {
        out.push('.');
        out.push_str(tail);
    }
    let exponent = point - 1;
    out.push_str(if exponent < 0 { "e-" } else { "e+" });
    let size = exponent.abs();
    if pad && size < 10 {
        out.push('0');
    }
    out.push_str(&size.to_string());
    out
}

fn without_exponent(negative: bool, digits: &str, point: i32) -> String {
    let mut out = String::from(if negative { "-" } else { "" });
    let count = digits.len() as i32;
    if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
        out.push_str(digits);
    } else if point >= count {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', (point - count) as usize));
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn general(scientific: &str) -> String {
    let (negative, digits, point) = digits_of(scientific);
    if digits.bytes().all(|c| c == b'0') {
        return if negative { "-0".into() } else { "0".into() };
    }
    // The shortest form has exponents below 1e-4 and from 1e6 on.
    if point - 1 < -4 || point > 6 {
        with_exponent(negative, &digits, point, true)
    } else {
        without_exponent(negative, &digits, point)
    }
}

/// `strconv.FormatFloat(f, 'g', -1, 64)`, with YAML's words for what is no number.
pub(crate) fn format_g(f: f64) -> String {
    match special(f) {
        Some(word) => word.into(),
        None => general(&format!("{f:e}")),
    }
}

/// The same with the digits of a 32-bit float.
pub(crate) fn format_g32(f: f64) -> String {
    let narrow = f as f32;
    match special(f64::from(narrow)) {
        Some(word) => word.into(),
        None => general(&format!("{narrow:e}")),
    }
}

fn special(f: f64) -> Option<&'static str> {
    match f {
        _ if f.is_nan() => Some(".nan"),
        f64::INFINITY => Some(".inf"),
        f64::NEG_INFINITY => Some("-.inf"),
        _ => None,
    }
}

/// A finite float as Go's JSON writes it.
pub(crate) fn format_json(f: f64) -> String {
    let (negative, digits, point) = digits_of(&format!("{f:e}"));
    let size = f.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return with_exponent(negative, &digits, point, false);
    }
    if size == 0.0 {
        return if negative { "-0".into() } else { "0".into() };
    }
    without_exponent(negative, &digits, point)
}

/// `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if is_go_printable(c) => out.push(c),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// Graphic characters and the plain space.
fn is_go_printable(c: char) -> bool {
    match c as u32 {
        0x20..=0x7E => true,
        0xA1..=0xAC | 0xAE..=0xFF => true,
        0..=0xA0 | 0xAD => false,
        0x2000..=0x200F | 0x2028..=0x202F | 0x205F..=0x206F | 0x3000 | 0xFEFF => false,
        0xE000..=0xF8FF | 0xFFF0..=0xFFFB | 0xFFFE.. if (c as u32) < 0x10000 => false,
        0xF0000.. => false,
        _ => true,
    }
}

/// A time as the timestamp formats of the library read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub date: (i64, u32, u32),
    pub clock: (u32, u32, u32),
    pub nanos: u32,
    /// Minutes east of Greenwich.
    pub offset: i32,
}

impl Time {
    /// RFC 3339 with as many fraction digits as are needed.
    pub fn to_rfc3339(self) -> String {
        let (year, month, day) = self.date;
        let (hour, minute, second) = self.clock;
        let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if self.nanos > 0 {
            out.push('.');
            out.push_str(format!("{:09}", self.nanos).trim_end_matches('0'));
        }
        match self.offset {
            0 => out.push('Z'),
            offset => {
                let (sign, size) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
                out.push_str(&format!("{sign}{:02}:{:02}", size / 60, size % 60));
            }
        }
        out
    }
}

impl Time {
    /// As Go's `String` method has it.
    pub fn to_words(self) -> String {
        let text = self.to_rfc3339();
        let (date, clock) = text.split_once('T').unwrap_or((&text, ""));
        let clock = clock.get(..clock.find(['Z', '+', '-']).unwrap_or(clock.len())).unwrap_or_default();
        match self.offset {
            0 => format!("{date} {clock} +0000 UTC"),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                let zone = format!("{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60);
                format!("{date} {clock} {zone} {zone}")
            }
        }
    }
}

struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    /// One or two digits.
    fn number(&mut self) -> Option<u32> {
        let count = self.0.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let value = self.0.get(..count)?.parse().ok()?;
        self.0 = self.0.get(count..)?;
        Some(value)
    }

    fn expect(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    fn fraction(&mut self) -> u32 {
        let rest = self.0.strip_prefix(['.', ',']).unwrap_or_default();
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return 0;
        }
        let digits: String = rest.chars().take(count.min(9)).collect();
        self.0 = rest.get(count..).unwrap_or_default();
        format!("{digits:0<9}").parse().unwrap_or(0)
    }

    fn clock(&mut self) -> Option<((u32, u32, u32), u32)> {
        let hour = self.number().filter(|h| *h < 24)?;
        self.expect(':')?;
        let minute = self.number().filter(|m| *m < 60)?;
        self.expect(':')?;
        let second = self.number().filter(|s| *s < 60)?;
        Some(((hour, minute, second), self.fraction()))
    }

    /// `Z` or `+hh:mm`.
    fn zone(&mut self) -> Option<i32> {
        if self.0 == "Z" {
            return Some(0);
        }
        let bytes = self.0.as_bytes();
        let sign = match bytes {
            [b'+', _, _, b':', _, _] => 1,
            [b'-', _, _, b':', _, _] => -1,
            _ => return None,
        };
        let part = |a: usize| {
            let text = self.0.get(a..a + 2)?;
            text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<i32>().ok())?
        };
        let (hours, minutes) = (part(1)?, part(4)?);
        (hours <= 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

/// Reads the four timestamp forms of the library: with `T` or `t` and a zone, with a space and none, the
/// date alone.
pub(crate) fn parse_timestamp(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    if bytes.len() < 6 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year: i64 = text.get(..4)?.parse().ok()?;
    let mut cursor = Cursor(text.get(5..)?);
    let month = cursor.number().filter(|m| (1..=12).contains(m))?;
    cursor.expect('-')?;
    let day = cursor.number()?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day == 0 || day > last {
        return None;
    }
    let mut time = Time { date: (year, month, day), clock: (0, 0, 0), nanos: 0, offset: 0 };
    match cursor.0.chars().next() {
        None => return Some(time),
        Some('T' | 't') => {
            cursor.0 = cursor.0.get(1..)?;
            (time.clock, time.nanos) = cursor.clock()?;
            time.offset = cursor.zone()?;
        }
        Some(' ') => {
            cursor.0 = cursor.0.trim_start_matches(' ');
            (time.clock, time.nanos) = cursor.clock()?;
            if !cursor.0.is_empty() {
                return None;
            }
        }
        Some(_) => return None,
    }
    Some(time)
}

/// Standard base64 with padding; line breaks are passed over.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let clean: Vec<u8> = text.bytes().filter(|c| !matches!(c, b'\n' | b'\r')).collect();
    if !clean.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(clean.len() / 4 * 3);
    let groups = clean.len() / 4;
    for (index, group) in clean.chunks_exact(4).enumerate() {
        let pads = group.iter().rev().take_while(|c| **c == b'=').count();
        if pads > 2 || (pads > 0 && index + 1 != groups) {
            return None;
        }
        let mut bits = 0u32;
        for c in &group[..4 - pads] {
            let value = match c {
                b'A'..=b'Z' => c - b'A',
                b'a'..=b'z' => c - b'a' + 26,
                b'0'..=b'9' => c - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * pads as u32;
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(&bytes[1..4 - pads]);
    }
    Some(out)
}
