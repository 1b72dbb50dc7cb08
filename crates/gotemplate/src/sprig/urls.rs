//! `urlParse` and `urlJoin`, with Go's idea of a URL.

use std::net::Ipv6Addr;

use super::{NIL_PANIC, Res, map, text};
use crate::fmt::quote;
use crate::func::{Context, FuncError, Function, Param};
use crate::value::{Map, Str, Value};

pub(super) fn functions() -> Vec<Function> {
    let native = Function::native;
    vec![
        native("urlParse", &[Param::String], false, url_parse),
        native("urlJoin", &[Param::Map], false, |_, args| url_join(map(args, 0)?)),
    ]
}

/// The part of a URL that is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    User,
    Fragment,
}

/// Whether a byte stands in a part without escaping.
fn is_plain(byte: u8, part: Part) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
        b'$' | b'&' | b'+' | b'=' => true,
        b',' | b';' => true,
        b'/' => matches!(part, Part::Path | Part::Fragment),
        b':' => part != Part::User,
        b'@' => matches!(part, Part::Path | Part::Fragment),
        b'?' => part == Part::Fragment,
        b'!' | b'(' | b')' | b'*' => matches!(part, Part::Host | Part::Zone | Part::Fragment),
        b'"' | b'\'' | b'<' | b'>' | b'[' | b']' => matches!(part, Part::Host | Part::Zone),
        _ => false,
    }
}

fn escape(bytes: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if is_plain(*byte, part) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

fn hex(byte: Option<&u8>) -> Option<u8> {
    byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|digit| digit as u8)
}

fn unescape(bytes: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte != b'%' {
            if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && !is_plain(*byte, part) {
                let shown = quote(&char::from(*byte).to_string());
                return Err(format!("invalid character {shown} in host name"));
            }
            out.push(*byte);
            at += 1;
            continue;
        }
        let shown = bytes.get(at..(at + 3).min(bytes.len())).unwrap_or_default();
        let bad = || Err(format!("invalid URL escape {}", quote(&String::from_utf8_lossy(shown))));
        let (Some(high), Some(low)) = (hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) else {
            return bad();
        };
        let value = high << 4 | low;
        let percent = shown == b"%25";
        if part == Part::Host && high < 8 && !percent {
            return bad();
        }
        if part == Part::Zone && !percent && value != b' ' && !is_plain(value, Part::Host) {
            return bad();
        }
        out.push(value);
        at += 3;
    }
    Ok(out)
}

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: String,
    fragment: Vec<u8>,
}

/// The scheme and what follows it.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""))),
            _ => break,
        }
    }
    Ok(("", text))
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (front, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Url::parse_front(front).map_err(|error| format!("parse {}: {error}", quote(front)))?;
        url.fragment = unescape(fragment.as_bytes(), Part::Fragment)
            .map_err(|error| format!("parse {}: {error}", quote(text)))?;
        Ok(url)
    }

    fn parse_front(text: &str) -> Result<Self, String> {
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Url::default();
        if text == "*" {
            url.path = b"*".to_vec();
            return Ok(url);
        }
        let (scheme, rest) = scheme(text)?;
        url.scheme = scheme.to_lowercase();
        let (mut rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        url.query = query.to_owned();
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_owned();
                return Ok(url);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        if rest.starts_with("//") && (!url.scheme.is_empty() || !rest.starts_with("///")) {
            let authority = rest.get(2..).unwrap_or("");
            let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
            rest = path;
            url.authority(authority)?;
        }
        url.path = unescape(rest.as_bytes(), Part::Path)?;
        Ok(url)
    }

    fn authority(&mut self, authority: &str) -> Result<(), String> {
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        self.host = parse_host(&self.scheme, host)?;
        let Some(user) = user else { return Ok(()) };
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
        if !user.bytes().all(valid) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = user.split_once(':').map_or((user, None), |(name, word)| (name, Some(word)));
        let name = unescape(name.as_bytes(), Part::User)?;
        let password = password.map(|word| unescape(word.as_bytes(), Part::User)).transpose()?;
        self.user = Some((name, password));
        Ok(())
    }

    fn hostname(&self) -> &[u8] {
        let colon = self.host.iter().rposition(|byte| *byte == b':');
        let host = match colon {
            Some(at) if self.host.get(at + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit)) => {
                self.host.get(..at).unwrap_or_default()
            }
            _ => &self.host,
        };
        host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
    }

    fn userinfo(&self) -> Option<Vec<u8>> {
        let (name, password) = self.user.as_ref()?;
        let mut out = escape(name, Part::User);
        if let Some(password) = password {
            out.push(b':');
            out.extend(escape(password, Part::User));
        }
        Some(out)
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(self.scheme.as_bytes());
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut out);
        } else {
            out.extend_from_slice(self.opaque.as_bytes());
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(self.query.as_bytes());
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn write_hierarchy(&self, out: &mut Vec<u8>) {
        let user = self.userinfo();
        if !self.host.is_empty() || user.is_some() || (!self.scheme.is_empty() && !self.path.is_empty()) {
            out.extend_from_slice(b"//");
        }
        if let Some(user) = user {
            out.extend(user);
            out.push(b'@');
        }
        out.extend(escape(&self.host, Part::Host));
        let path = if self.path == b"*" { b"*".to_vec() } else { escape(&self.path, Part::Path) };
        if path.first().is_some_and(|byte| *byte != b'/') && !self.host.is_empty() {
            out.push(b'/');
        }
        if out.is_empty() && path.split(|byte| *byte == b'/').next().is_some_and(|part| part.contains(&b':'))
        {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

fn parse_host(scheme: &str, host: &str) -> Result<Vec<u8>, String> {
    let port_ok = |port: &str| {
        port.is_empty()
            || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let bad_port = |port: &str| Err(format!("invalid port {} after host", quote(port)));
    match host.rfind('[') {
        Some(0) => {}
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {
            if let Some(first) = host.find(':') {
                let last = host.rfind(':').unwrap_or(first);
                // Several colons are allowed where the scheme is not that of the web.
                let at = if matches!(scheme, "http" | "https") { first } else { last };
                let port = host.get(at..).unwrap_or("");
                if !port_ok(port) {
                    return bad_port(port);
                }
            }
            return unescape(host.as_bytes(), Part::Host);
        }
    }
    let Some(close) = host.rfind(']') else {
        return Err("missing ']' in host".to_owned());
    };
    let (name, port) = (host.get(1..close).unwrap_or(""), host.get(close + 1..).unwrap_or(""));
    if !port_ok(port) {
        return bad_port(port);
    }
    let mut literal = b"[".to_vec();
    let (address, zone) = name.split_at(name.find("%25").unwrap_or(name.len()));
    let address = unescape(address.as_bytes(), Part::Host)?;
    let text = String::from_utf8_lossy(&address).into_owned();
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("invalid IP-literal".to_owned());
    }
    if text.parse::<Ipv6Addr>().is_err() {
        return Err(format!("invalid host: ParseAddr({}): unable to parse IP", quote(&text)));
    }
    literal.extend(address);
    literal.extend(unescape(zone.as_bytes(), Part::Zone)?);
    literal.push(b']');
    literal.extend_from_slice(port.as_bytes());
    Ok(literal)
}

fn url_parse(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let url = Url::parse(&text(args, 0))
        .map_err(|error| FuncError::new(format!("unable to parse url: {error}")))?;
    let string = |bytes: &[u8]| Value::Str(Str::from(bytes));
    Ok(Value::map([
        ("scheme", string(url.scheme.as_bytes())),
        ("host", string(&url.host)),
        ("hostname", string(url.hostname())),
        ("path", string(&url.path)),
        ("query", string(url.query.as_bytes())),
        ("opaque", string(url.opaque.as_bytes())),
        ("fragment", string(&url.fragment)),
        ("userinfo", string(&url.userinfo().unwrap_or_default())),
    ]))
}

/// The string under `key`, or nothing.
fn entry(dict: &Map, key: &str) -> Result<Vec<u8>, FuncError> {
    match dict.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Str(text)) => Ok(text.as_bytes().to_vec()),
        Some(value) if value.is_nil() => Err(NIL_PANIC.into()),
        Some(value) => {
            let kind = value.kind().name();
            Err(format!("unable to parse {key} key, must be of type string, but {kind} found").into())
        }
    }
}

fn url_join(dict: &Map) -> Res {
    let string = |key| entry(dict, key).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut url = Url {
        scheme: string("scheme")?,
        host: entry(dict, "host")?,
        path: entry(dict, "path")?,
        query: string("query")?,
        opaque: string("opaque")?,
        fragment: entry(dict, "fragment")?,
        user: None,
    };
    let userinfo = string("userinfo")?;
    if !userinfo.is_empty() {
        let parsed = Url::parse(&format!("proto://{userinfo}@host"))
            .map_err(|error| FuncError::new(format!("unable to parse userinfo in dict: {error}")))?;
        url.user = parsed.user;
    }
    Ok(Value::str(url.write()))
}
