//! Reads a pattern as Go does, complains as Go does, and writes it for the `regex` crate: ASCII classes
//! for `\d`, `\s`, `\w` and `\b`, every literal escaped, groups without names.

/// A pattern for the `regex` crate, and the names of its groups (empty for none).
pub(super) struct Translated {
    pub(super) pattern: String,
    pub(super) names: Vec<String>,
}

/// Groups within groups.
const MAX_DEPTH: usize = 1000;
const MAX_REPEAT: i64 = 1000;
const ESCAPE: &str = "invalid escape sequence";
const RANGE: &str = "invalid character class range";

type Res<T> = Result<T, String>;

fn fail<T>(code: &str, shown: &str) -> Res<T> {
    Err(format!("error parsing regexp: {code}: `{shown}`"))
}

struct Checker<'p> {
    whole: &'p str,
    rest: &'p str,
    out: String,
    names: Vec<String>,
    /// Whether something stands before the next operator, per open group.
    atoms: Vec<bool>,
    /// Where the operator before the next one began, if there was nothing between them.
    last_repeat: Option<&'p str>,
}

/// Translates `pattern`.
pub(super) fn translate(pattern: &str) -> Res<Translated> {
    let mut checker = Checker {
        whole: pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        names: vec![String::new()],
        atoms: vec![false],
        last_repeat: None,
    };
    while !checker.rest.is_empty() {
        let repeat = checker.item()?;
        checker.last_repeat = repeat;
    }
    if checker.atoms.len() != 1 {
        return fail("missing closing )", pattern);
    }
    Ok(Translated { pattern: checker.out, names: checker.names })
}

fn push_char(out: &mut String, c: char) {
    if c.is_alphanumeric() || c == '_' {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}

fn perl_class(c: char) -> Option<(&'static str, bool)> {
    Some(match c {
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        's' => ("\\t\\n\\x0c\\r ", false),
        'S' => ("\\t\\n\\x0c\\r ", true),
        'w' => ("0-9A-Za-z_", false),
        'W' => ("0-9A-Za-z_", true),
        _ => return None,
    })
}

/// The part of `from` before `rest`, which is its tail.
fn consumed<'p>(from: &'p str, rest: &str) -> &'p str {
    from.get(..from.len() - rest.len()).unwrap_or(from)
}

impl<'p> Checker<'p> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    fn atom(&mut self) {
        if let Some(last) = self.atoms.last_mut() {
            *last = true;
        }
    }

    fn literal(&mut self, c: char) {
        push_char(&mut self.out, c);
        self.atom();
    }

    /// One item; for an operator, where it began.
    fn item(&mut self) -> Res<Option<&'p str>> {
        let Some(c) = self.rest.chars().next() else { return Ok(None) };
        match c {
            '(' if self.rest.starts_with("(?") => self.flags()?,
            '(' => {
                self.skip(1);
                self.names.push(String::new());
                self.open("(")?;
            }
            '|' => {
                self.skip(1);
                self.out.push('|');
                if let Some(last) = self.atoms.last_mut() {
                    *last = false;
                }
            }
            ')' => {
                self.skip(1);
                if self.atoms.len() == 1 {
                    return fail("unexpected )", self.whole);
                }
                self.atoms.pop();
                self.out.push(')');
                self.atom();
            }
            '^' | '$' | '.' => {
                self.skip(1);
                self.out.push(c);
                self.atom();
            }
            '[' => self.class()?,
            '*' | '+' | '?' => {
                let before = self.rest;
                self.skip(1);
                return self.operator(before, String::from(c)).map(Some);
            }
            '{' => return self.counted(),
            '\\' => self.escaped()?,
            c => {
                self.skip(c.len_utf8());
                self.literal(c);
            }
        }
        Ok(None)
    }

    fn open(&mut self, text: &str) -> Res<()> {
        self.out.push_str(text);
        self.atoms.push(false);
        if self.atoms.len() > MAX_DEPTH {
            return fail("expression nests too deeply", self.whole);
        }
        Ok(())
    }

    fn operator(&mut self, before: &'p str, text: String) -> Res<&'p str> {
        if self.rest.starts_with('?') {
            self.skip(1);
            self.check_repeat(before)?;
            self.out.push_str(&text);
            self.out.push('?');
        } else {
            self.check_repeat(before)?;
            self.out.push_str(&text);
        }
        Ok(before)
    }

    fn check_repeat(&self, before: &'p str) -> Res<()> {
        if let Some(last) = self.last_repeat {
            return fail("invalid nested repetition operator", consumed(last, self.rest));
        }
        if self.atoms.last() != Some(&true) {
            return fail("missing argument to repetition operator", consumed(before, self.rest));
        }
        Ok(())
    }

    fn counted(&mut self) -> Res<Option<&'p str>> {
        let before = self.rest;
        let Some((min, max, after)) = repeat(before) else {
            self.skip(1);
            self.literal('{');
            return Ok(None);
        };
        self.rest = after;
        if !(0..=MAX_REPEAT).contains(&min) || max > MAX_REPEAT || (max >= 0 && min > max) {
            return fail("invalid repeat count", consumed(before, after));
        }
        let text = consumed(before, after).to_owned();
        self.operator(before, text).map(Some)
    }

    /// `(?flags)`, `(?flags:`, `(?P<name>` and `(?<name>`.
    fn flags(&mut self) -> Res<()> {
        let start = self.rest;
        let named = start.strip_prefix("(?P<").or_else(|| start.strip_prefix("(?<"));
        if let Some(named) = named {
            let Some(end) = named.find('>') else {
                return fail("invalid named capture", start);
            };
            let (name, rest) = (named.get(..end).unwrap_or(""), named.get(end + 1..).unwrap_or(""));
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return fail("invalid named capture", consumed(start, rest));
            }
            self.names.push(name.to_owned());
            self.rest = rest;
            return self.open("(");
        }
        self.skip(2);
        let mut text = String::from("(?");
        let (mut minus, mut saw) = (false, false);
        while let Some(c) = self.rest.chars().next() {
            self.skip(c.len_utf8());
            match c {
                'i' | 'm' | 's' | 'U' => saw = true,
                '-' if !minus => {
                    minus = true;
                    saw = false;
                }
                ':' | ')' if !minus || saw => {
                    if text == "(?" && c == ')' {
                        // `(?)` changes nothing, and the crate does not know it.
                        return Ok(());
                    }
                    text.push(c);
                    if c == ':' {
                        return self.open(&text);
                    }
                    self.out.push_str(&text);
                    return Ok(());
                }
                _ => break,
            }
            text.push(c);
        }
        fail("invalid or unsupported Perl syntax", consumed(start, self.rest))
    }

    /// An escape outside of a class.
    fn escaped(&mut self) -> Res<()> {
        let start = self.rest;
        let Some(next) = start.chars().nth(1) else {
            return fail("trailing backslash at end of expression", "");
        };
        match next {
            'A' | 'z' => self.assertion(&format!("\\{next}")),
            'b' | 'B' => self.assertion(&format!("(?-u:\\{next})")),
            'C' => return fail(ESCAPE, "\\C"),
            'Q' => {
                let body = start.get(2..).unwrap_or("");
                let (quoted, rest) = body.split_once("\\E").unwrap_or((body, ""));
                for c in quoted.chars() {
                    self.literal(c);
                }
                self.rest = rest;
            }
            'p' | 'P' => {
                let class = self.unicode()?;
                self.out.push_str(&class);
                self.atom();
            }
            _ => match perl_class(next) {
                Some((class, negated)) => {
                    self.skip(2);
                    self.out.push_str(if negated { "[^" } else { "[" });
                    self.out.push_str(class);
                    self.out.push(']');
                    self.atom();
                }
                None => {
                    let c = self.escape()?;
                    self.literal(c);
                }
            },
        }
        Ok(())
    }

    fn assertion(&mut self, text: &str) {
        self.skip(2);
        self.out.push_str(text);
        self.atom();
    }

    /// `\pL`, `\p{Greek}`, `\P{^Greek}`.
    fn unicode(&mut self) -> Res<String> {
        let start = self.rest;
        let mut negated = start.starts_with("\\P");
        self.skip(2);
        let name = if let Some(braced) = self.rest.strip_prefix('{') {
            let Some(end) = braced.find('}') else {
                return fail(RANGE, start);
            };
            self.rest = braced.get(end + 1..).unwrap_or("");
            braced.get(..end).unwrap_or("")
        } else {
            let width = self.rest.chars().next().map_or(0, char::len_utf8);
            let name = self.rest.get(..width).unwrap_or("");
            self.skip(width);
            name
        };
        let shown = consumed(start, self.rest);
        let name = match name.strip_prefix('^') {
            Some(rest) => {
                negated = !negated;
                rest
            }
            None => name,
        };
        let name = if name == "Any" { "any" } else { name };
        let class = format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' });
        let known = name.starts_with(|c: char| c.is_ascii_uppercase()) || name == "any";
        if !known || name.contains(['=', ':', '!']) || regex::Regex::new(&class).is_err() {
            return fail(RANGE, shown);
        }
        Ok(class)
    }

    /// A character written with a backslash.
    fn escape(&mut self) -> Res<char> {
        let start = self.rest;
        self.skip(1);
        let Some(c) = self.rest.chars().next() else {
            return fail("trailing backslash at end of expression", "");
        };
        self.skip(c.len_utf8());
        let simple = match c {
            'a' => Some('\u{7}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        if let Some(c) = simple {
            return Ok(c);
        }
        let octal = |c: char| ('0'..='7').contains(&c);
        let code = match c {
            '1'..='7' if !self.rest.starts_with(octal) => None,
            '0'..='7' => {
                let more = self.rest.chars().take(2).take_while(|c| octal(*c)).count();
                let digits = format!("{c}{}", self.rest.get(..more).unwrap_or(""));
                self.skip(more);
                u32::from_str_radix(&digits, 8).ok()
            }
            'x' => self.hex(),
            _ => None,
        };
        match code.and_then(char::from_u32) {
            Some(c) => Ok(c),
            None => fail(ESCAPE, consumed(start, self.rest)),
        }
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = match self.rest.strip_prefix('{') {
            Some(braced) => {
                let end = braced.find('}')?;
                self.rest = braced.get(end + 1..).unwrap_or("");
                braced.get(..end)?
            }
            None => {
                let digits = self.rest.get(..2)?;
                self.skip(2);
                digits
            }
        };
        digits.chars().all(|c| c.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }

    /// `[…]`.
    fn class(&mut self) -> Res<()> {
        let start = self.rest;
        self.skip(1);
        let mut class = String::from("[");
        if self.rest.starts_with('^') {
            self.skip(1);
            class.push('^');
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            self.class_item(start, &mut class)?;
        }
        self.skip(1);
        class.push(']');
        self.out.push_str(&class);
        self.atom();
        Ok(())
    }

    fn class_item(&mut self, start: &'p str, class: &mut String) -> Res<()> {
        if let Some(end) = self.rest.strip_prefix("[:").and_then(|named| named.find(":]")) {
            let shown = self.rest.get(..end + 4).unwrap_or("");
            let name = self.rest.get(2..end + 2).unwrap_or("");
            const KNOWN: [&str; 14] = [
                "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
                "space", "upper", "word", "xdigit",
            ];
            if !KNOWN.contains(&name.trim_start_matches('^')) {
                return fail(RANGE, shown);
            }
            class.push_str(shown);
            self.skip(end + 4);
            return Ok(());
        }
        if self.rest.starts_with("\\p") || self.rest.starts_with("\\P") {
            let unicode = self.unicode()?;
            class.push_str(&unicode);
            return Ok(());
        }
        if let Some((perl, negated)) =
            self.rest.strip_prefix('\\').and_then(|rest| perl_class(rest.chars().next()?))
        {
            self.skip(2);
            class.push_str(if negated { "[^" } else { "[" });
            class.push_str(perl);
            class.push(']');
            return Ok(());
        }
        let range = self.rest;
        let low = self.class_char(start)?;
        let mut high = low;
        if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.skip(1);
            high = self.class_char(start)?;
            if high < low {
                return fail(RANGE, consumed(range, self.rest));
            }
        }
        push_char(class, low);
        if high != low {
            class.push('-');
            push_char(class, high);
        }
        Ok(())
    }

    fn class_char(&mut self, start: &str) -> Res<char> {
        match self.rest.chars().next() {
            None => fail("missing closing ]", start),
            Some('\\') => self.escape(),
            Some(c) => {
                self.skip(c.len_utf8());
                Ok(c)
            }
        }
    }
}

/// `{n}`, `{n,}` or `{n,m}` (-1 for no end), and what follows.
fn repeat(text: &str) -> Option<(i64, i64, &str)> {
    let (min, rest) = number(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (min, rest),
        Some(rest) if rest.starts_with('}') => (-1, rest),
        Some(rest) => number(rest)?,
    };
    Some((min, max, rest.strip_prefix('}')?))
}

/// A number without leading zeros; one beyond all limits for one that is too large.
fn number(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(MAX_REPEAT + 1), rest))
}
