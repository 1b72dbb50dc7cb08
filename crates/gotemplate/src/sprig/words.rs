//! Letter case, abbreviations and wrapping.

/// Go's `unicode.ToUpper`: one character for one.
pub(super) fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// Go's `unicode.ToLower`.
pub(super) fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Whether a word ends before the character, for `title`.
fn parts_words(c: char) -> bool {
    if c.is_ascii() {
        return !(c.is_ascii_alphanumeric() || c == '_');
    }
    !c.is_alphabetic() && !c.is_numeric() && c.is_whitespace()
}

/// Every first letter of a word in title case.
pub(super) fn title(text: &str) -> String {
    let mut before = ' ';
    let change = |c: char| {
        let changed = if parts_words(before) { upper(c) } else { c };
        before = c;
        changed
    };
    text.chars().map(change).collect()
}

/// Every first letter of a word in lower case.
pub(super) fn untitle(text: &str) -> String {
    let mut first = true;
    let change = |c: char| {
        let changed = if first && !c.is_whitespace() { lower(c) } else { c };
        first = c.is_whitespace();
        changed
    };
    text.chars().map(change).collect()
}

/// The first bytes of all words, each as the character of that number.
pub(super) fn initials(bytes: &[u8]) -> String {
    let words = bytes.split(|byte| char::from(*byte).is_whitespace());
    words.filter_map(|word| word.first()).map(|byte| char::from(*byte)).collect()
}

/// Upper for lower and the other way round.
pub(super) fn swap_case(text: &str) -> String {
    let change = |c: char| match c {
        c if c.is_uppercase() => lower(c),
        c if c.is_lowercase() => upper(c),
        c => c,
    };
    text.chars().map(change).collect()
}

/// Without white space. What is not ASCII is taken byte by byte once anything is removed.
pub(super) fn without_space(bytes: &[u8]) -> Vec<u8> {
    let space = |byte: &u8| char::from(*byte).is_whitespace();
    if !bytes.iter().any(space) {
        return bytes.to_vec();
    }
    let kept: String = bytes.iter().filter(|byte| !space(byte)).map(|byte| char::from(*byte)).collect();
    kept.into_bytes()
}

/// Cut to `width` bytes with `...`; widths below four do nothing.
pub(super) fn abbreviate(width: i64, bytes: &[u8]) -> Vec<u8> {
    if width < 4 {
        return bytes.to_vec();
    }
    shorten(bytes, 0, width)
}

/// Cut at both ends.
pub(super) fn abbreviate_both(left: i64, right: i64, bytes: &[u8]) -> Vec<u8> {
    if right < 4 || (left > 0 && right < 7) {
        return bytes.to_vec();
    }
    shorten(bytes, left, right)
}

fn shorten(bytes: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let length = bytes.len() as i64;
    if bytes.is_empty() || width < 4 {
        return Vec::new();
    }
    if length <= width {
        return bytes.to_vec();
    }
    let mut offset = offset.min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    let part = |from: i64, to: i64| bytes.get(from.max(0) as usize..to.max(0) as usize).unwrap_or_default();
    if offset <= 4 {
        return [part(0, width - 3), b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < length {
        let rest = shorten(part(offset, length), 0, width - 3);
        return [b"...".as_slice(), rest.as_slice()].concat();
    }
    [b"...", part(length - (width - 3), length)].concat()
}

/// Wraps at spaces after `width` bytes; long words are cut if `cut`.
pub(super) fn wrap(source: &[u8], width: i64, newline: &[u8], cut: bool) -> Vec<u8> {
    let newline = if newline.is_empty() { b"\n".as_slice() } else { newline };
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    let mut out = Vec::new();
    let mut rest = source;
    while rest.len() > width && out.len() <= crate::env::MAX_TEXT {
        if rest.first() == Some(&b' ') {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let space = |part: &[u8]| part.iter().rposition(|byte| *byte == b' ');
        let (end, next) = match space(rest.get(..=width).unwrap_or(rest)) {
            Some(at) => (at, at + 1),
            None if cut => (width, width),
            None => {
                let tail = rest.get(width..).unwrap_or_default();
                match tail.iter().position(|byte| *byte == b' ') {
                    Some(at) => (width + at, width + at + 1),
                    None => break,
                }
            }
        };
        out.extend_from_slice(rest.get(..end).unwrap_or_default());
        out.extend_from_slice(newline);
        rest = rest.get(next..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// `some_words` as `SomeWords`; leading connectors stay.
pub(super) fn pascal(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    let mut now = loop {
        match chars.next() {
            None => {
                // With nothing but connectors the last one comes twice.
                out.extend(text.chars().next_back());
                return out;
            }
            Some(c) if is_connector(c) => out.push(c),
            Some(c) => break c,
        }
    };
    // Whether a run of capitals is going on, of which all but the first become small.
    let mut capitals = now.is_uppercase();
    now = upper(now);
    for c in chars {
        let before = now;
        now = c;
        if is_connector(now) && is_connector(before) {
            out.push(before);
            continue;
        }
        if is_connector(before) {
            capitals = now.is_uppercase();
            now = upper(now);
        } else {
            if capitals {
                if now.is_uppercase() {
                    now = lower(now);
                } else {
                    capitals = false;
                }
            }
            out.push(before);
        }
    }
    out.push(now);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

fn is_alphabet(c: char) -> bool {
    c.is_alphabetic()
}

fn is_punctuation(c: char) -> bool {
    // `$+<=>^`|~` are symbols.
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c);
    }
    matches!(c, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}')
        || ('\u{2010}'..='\u{2027}').contains(&c)
        || ('\u{2030}'..='\u{205e}').contains(&c)
        || ('\u{3001}'..='\u{3003}').contains(&c)
        || ('\u{3008}'..='\u{3011}').contains(&c)
}

/// The next word of one kind, and what follows.
fn next_word(text: &str) -> (Kind, &str, &str) {
    let Some(first) = text.chars().next() else {
        return (Kind::None, "", "");
    };
    let run = |from: usize, test: fn(char) -> bool| {
        let tail = text.get(from..).unwrap_or("");
        from + tail.find(|c| !test(c)).unwrap_or(tail.len())
    };
    let small: fn(char) -> bool = |c| is_alphabet(c) && !c.is_uppercase();
    let start = first.len_utf8();
    let (kind, end) = if is_connector(first) {
        (Kind::Connector, run(start, is_connector))
    } else if is_punctuation(first) {
        (Kind::Punctuation, run(start, is_punctuation))
    } else if first.is_uppercase() {
        (Kind::Upper, upper_word(text, start, run(start, char::is_uppercase), run(start, small)))
    } else if is_alphabet(first) {
        (Kind::Alphabet, run(start, small))
    } else if first.is_numeric() {
        (Kind::Number, run(start, char::is_numeric))
    } else {
        let other: fn(char) -> bool =
            |c| !(is_connector(c) || is_alphabet(c) || c.is_numeric() || is_punctuation(c));
        (Kind::Other, run(start, other))
    };
    let (word, rest) = text.split_at(end);
    (kind, word, rest)
}

/// Where a word ends that begins with a capital: `HTTPStatus` is two words.
fn upper_word(text: &str, start: usize, capitals: usize, small: usize) -> usize {
    if capitals == start {
        return small;
    }
    let follows = text.get(capitals..).and_then(|rest| rest.chars().next());
    if follows.is_some_and(is_alphabet) {
        let last = text.get(..capitals).and_then(|head| head.chars().next_back());
        return capitals - last.map_or(0, char::len_utf8);
    }
    capitals
}

fn push_lower(out: &mut String, kind: Kind, word: &str, connector: char) {
    match kind {
        Kind::Upper => out.extend(word.chars().map(lower)),
        Kind::Connector => out.extend(word.chars().map(|_| connector)),
        _ => out.push_str(word),
    }
}

/// `FirstName` as `first_name` (or with another connector).
pub(super) fn separated(text: &str, connector: char) -> String {
    let mut out = String::new();
    let (mut kind, mut word, mut rest) = next_word(text);
    while !rest.is_empty() {
        if kind != Kind::Connector {
            push_lower(&mut out, kind, word, connector);
        }
        let (before, last) = (kind, word);
        (kind, word, rest) = next_word(rest);
        match before {
            Kind::Number => {
                while matches!(kind, Kind::Alphabet | Kind::Number) {
                    push_lower(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if !matches!(kind, Kind::None | Kind::Punctuation | Kind::Connector) {
                    out.push(connector);
                }
            }
            Kind::Connector => push_lower(&mut out, before, last, connector),
            Kind::Punctuation => {}
            _ if kind != Kind::Number => {
                if !matches!(kind, Kind::Connector | Kind::Punctuation) {
                    out.push(connector);
                }
            }
            _ if rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word, rest) = next_word(rest);
                if kind != Kind::Alphabet {
                    // The number belongs to the word before it.
                    push_lower(&mut out, Kind::Number, number, connector);
                    if !matches!(kind, Kind::Connector | Kind::Punctuation) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push_lower(&mut out, Kind::Number, number, connector);
                while matches!(kind, Kind::Alphabet | Kind::Number) {
                    push_lower(&mut out, kind, word, connector);
                    (kind, word, rest) = next_word(rest);
                }
                if !matches!(kind, Kind::None | Kind::Connector | Kind::Punctuation) {
                    out.push(connector);
                }
            }
        }
    }
    push_lower(&mut out, kind, word, connector);
    out
}
