//! `format`: dates, addresses, names. Unknown formats accept everything.

use gotemplate::Regexp;

/// Why a text is not of a format.
pub(super) fn check(name: &str, text: &str) -> Result<(), String> {
    match name {
        "regex" => Regexp::compile(text).map(drop),
        "json-pointer" => json_pointer(text),
        "relative-json-pointer" => relative_json_pointer(text),
        "uuid" => uuid(text),
        "duration" => duration(text),
        "period" => period(text),
        "ipv4" => ipv4(text),
        "ipv6" => ipv6(text),
        "hostname" => hostname(text),
        "email" => email(text),
        "date" => date(text),
        "time" => time(text),
        "date-time" => date_time(text),
        "uri" | "iri" => match url_of(text)? {
            true => Ok(()),
            false => Err("relative url".into()),
        },
        "uri-reference" | "iri-reference" if text.contains('\\') => Err("contains \\".into()),
        "uri-reference" | "iri-reference" | "uri-template" => url_of(text).map(drop),
        "semver" => semver(text),
        _ => Ok(()),
    }
}

fn refuse(is_wrong: bool, why: &str) -> Result<(), String> {
    if is_wrong { Err(why.into()) } else { Ok(()) }
}

fn unknown_character(character: char) -> String {
    format!("invalid character {}", go_character(character))
}

/// A character as Go's `%q` shows it.
fn go_character(character: char) -> String {
    let quoted = crate::error::quote(&character.to_string());
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    match inner {
        "'" => "'\\''".into(),
        "\\\"" => "'\"'".into(),
        inner => format!("'{inner}'"),
    }
}

fn json_pointer(text: &str) -> Result<(), String> {
    refuse(!text.is_empty() && !text.starts_with('/'), "not starting with /")?;
    let wrong = text.split('~').skip(1).any(|after| !after.starts_with(['0', '1']));
    refuse(wrong, "~ must be followed by 0 or 1")
}

fn relative_json_pointer(text: &str) -> Result<(), String> {
    let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let digits = text.len() - rest.len();
    refuse(digits == 0, "must start with non-negative integer")?;
    refuse(digits > 1 && text.starts_with('0'), "starts with zero")?;
    if rest == "#" { Ok(()) } else { json_pointer(rest) }
}

fn uuid(text: &str) -> Result<(), String> {
    let lengths = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    refuse(groups.len() != lengths.len(), "must have 5 elements")?;
    for (at, (group, length)) in groups.iter().zip(lengths).enumerate() {
        refuse(group.len() != length, &format!("element {} must be {length} characters long", at + 1))?;
        if let Some(wrong) = group.chars().find(|character| !character.is_ascii_hexdigit()) {
            return Err(format!("non-hex character {}", go_character(wrong)));
        }
    }
    Ok(())
}

fn duration(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix('P').ok_or("must start with P")?;
    refuse(rest.is_empty(), "nothing after P")?;
    if let Some(weeks) = rest.strip_suffix('W') {
        refuse(weeks.is_empty(), "no number in week")?;
        return refuse(!weeks.bytes().all(|byte| byte.is_ascii_digit()), "invalid week");
    }
    for (at, mut part) in rest.split('T').enumerate() {
        refuse(at != 0 && part.is_empty(), "no time elements")?;
        let all = ["YMD", "HMS"].get(at).ok_or("more than one T")?;
        let mut units = *all;
        while !part.is_empty() {
            let after = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
            refuse(after.len() == part.len(), "missing number")?;
            let unit = after.chars().next().ok_or("missing unit")?;
            let Some((_, left)) = units.split_once(unit) else {
                let shown = go_character(unit);
                return Err(match all.contains(unit) {
                    true => format!("unit {shown} out of order"),
                    false => format!("invalid unit {shown}"),
                });
            };
            units = left;
            part = after.strip_prefix(unit).unwrap_or_default();
        }
    }
    Ok(())
}

fn period(text: &str) -> Result<(), String> {
    let (start, end) = text.split_once('/').ok_or("missing slash")?;
    let place =
        |which: &'static str, what: &'static str| move |why: String| format!("invalid {which} {what}: {why}");
    if start.starts_with('P') {
        duration(start).map_err(place("start", "duration"))?;
        return date_time(end).map_err(place("end", "date-time"));
    }
    date_time(start).map_err(place("start", "date-time"))?;
    match end.starts_with('P') {
        true => duration(end).map_err(place("end", "duration")),
        false => date_time(end).map_err(place("end", "date-time")),
    }
}

fn ipv4(text: &str) -> Result<(), String> {
    let groups: Vec<&str> = text.split('.').collect();
    refuse(groups.len() != 4, "expected four decimals")?;
    for group in groups {
        refuse(group.len() > 1 && group.starts_with('0'), "leading zeros")?;
        let number: i64 = group
            .parse()
            .map_err(|_| format!("strconv.Atoi: parsing {}: invalid syntax", crate::error::quote(group)))?;
        refuse(!(0..=255).contains(&number), "decimal must be between 0 and 255")?;
    }
    Ok(())
}

fn ipv6(text: &str) -> Result<(), String> {
    refuse(!text.contains(':'), "missing colon")?;
    refuse(text.contains('%'), "zone id is not a part of ipv6 address")?;
    let wrong = |_| format!("ParseAddr({}): unable to parse IP", crate::error::quote(text));
    text.parse::<std::net::Ipv6Addr>().map(drop).map_err(wrong)
}

fn hostname(text: &str) -> Result<(), String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    refuse(text.len() > 253, "more than 253 characters long")?;
    for label in text.split('.') {
        refuse(!(1..=63).contains(&label.len()), "label must be 1 to 63 characters long")?;
        refuse(label.starts_with('-'), "label starts with hyphen")?;
        refuse(label.ends_with('-'), "label ends with hyphen")?;
        let wrong = label.chars().find(|character| !character.is_ascii_alphanumeric() && *character != '-');
        wrong.map_or(Ok(()), |character| Err(unknown_character(character)))?;
    }
    Ok(())
}

fn email(text: &str) -> Result<(), String> {
    refuse(text.len() > 254, "more than 255 characters long")?;
    let (local, domain) = text.rsplit_once('@').ok_or("missing @")?;
    refuse(local.len() > 64, "local part more than 64 characters long")?;
    let inside = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(inside) = inside {
        let why = "backslash and quote are not allowed within quoted local part";
        refuse(inside.contains(['\\', '"']), why)?;
    } else {
        refuse(local.starts_with('.'), "starts with dot")?;
        refuse(local.ends_with('.'), "ends with dot")?;
        refuse(local.contains(".."), "consecutive dots")?;
        let fits = |character: &char| {
            character.is_ascii_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(*character)
        };
        let wrong = local.chars().find(|character| !fits(character));
        wrong.map_or(Ok(()), |character| Err(unknown_character(character)))?;
    }
    if let Some(address) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.strip_prefix("IPv6:") {
            Some(address) => ipv6(address).map_err(|why| format!("invalid ipv6 address: {why}")),
            None => ipv4(address).map_err(|why| format!("invalid ipv4 address: {why}")),
        };
    }
    hostname(domain).map_err(|why| format!("invalid domain: {why}"))
}

fn date(text: &str) -> Result<(), String> {
    gotemplate::Time::parse("2006-01-02", text).map(drop)
}

fn time(text: &str) -> Result<(), String> {
    refuse(text.len() < 9, "less than 9 characters long")?;
    let bytes = text.as_bytes();
    let colon = |at: usize| bytes.get(at) == Some(&b':');
    refuse(!colon(2) || !colon(5), "missing colon in correct place")?;
    let pair = |from: usize, why: &str| -> Result<i64, String> {
        let digits = bytes.get(from..from + 2).and_then(|pair| std::str::from_utf8(pair).ok());
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| why.to_owned())
    };
    let why = "invalid hour/min/sec";
    let (hour, minute, second) = (pair(0, why)?, pair(3, why)?, pair(6, why)?);
    refuse(hour < 0 || minute < 0 || second < 0, "non-positive hour/min/sec")?;
    refuse(hour > 23 || minute > 59 || second > 60, "hour/min/sec out of range")?;
    let mut rest = text.get(8..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix('.') {
        let after = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
        refuse(after.len() == fraction.len(), "no digits in second fraction")?;
        rest = after;
    }
    let mut minutes = hour * 60 + minute;
    if !matches!(rest, "z" | "Z") {
        refuse(rest.len() != 6, "offset must be 6 characters long")?;
        let sign = match rest.as_bytes().first() {
            Some(b'+') => -1,
            Some(b'-') => 1,
            _ => return Err("offset must begin with plus/minus".into()),
        };
        let offset = rest.get(1..).unwrap_or_default();
        refuse(offset.as_bytes().get(2) != Some(&b':'), "missing colon in offset in correct place")?;
        let part = |text: Option<&str>| -> Result<i64, String> {
            text.and_then(|text| text.parse().ok()).ok_or_else(|| "invalid hour/min in offset".to_owned())
        };
        let (hours, rest) = (part(offset.get(..2))?, part(offset.get(3..))?);
        refuse(hours < 0 || rest < 0, "non-positive hour/min in offset")?;
        refuse(hours > 23 || rest > 59, "hour/min in offset out of range")?;
        minutes += sign * (hours * 60 + rest);
        minutes += if minutes < 0 { 24 * 60 } else { 0 };
    }
    refuse(second >= 60 && minutes != 23 * 60 + 59, "invalid leap second")
}

fn date_time(text: &str) -> Result<(), String> {
    refuse(text.len() < 20, "less than 20 characters long")?;
    let separator = text.as_bytes().get(10).copied().unwrap_or_default();
    refuse(!separator.eq_ignore_ascii_case(&b't'), "11th character must be t or T")?;
    date(text.get(..10).unwrap_or_default()).map_err(|why| format!("invalid date element: {why}"))?;
    time(text.get(11..).unwrap_or_default()).map_err(|why| format!("invalid time element: {why}"))
}

/// Whether an address is absolute.
fn url_of(text: &str) -> Result<bool, String> {
    let wrong = |why: &str| format!("parse {}: {why}", crate::error::quote(text));
    if text.starts_with(':') {
        return Err(wrong("missing protocol scheme"));
    }
    if text.contains(|character: char| character.is_ascii_control()) {
        return Err(wrong("net/url: invalid control character in URL"));
    }
    match url::Url::parse(text) {
        Ok(_) => Ok(true),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            match text.split('/').next().is_some_and(|first| first.contains(':')) {
                true => Err(wrong("first path segment in URL cannot contain colon")),
                false => Ok(false),
            }
        }
        Err(error) => Err(wrong(&error.to_string())),
    }
}

fn semver(text: &str) -> Result<(), String> {
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let fits = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    if let Some(build) = build {
        refuse(build.is_empty(), "build is empty")?;
        for part in build.split('.') {
            refuse(part.is_empty(), "build identifier is empty")?;
            if let Some(wrong) = part.chars().find(|character| !fits(character)) {
                return Err(format!("{} in build identifier", unknown_character(wrong)));
            }
        }
    }
    let (core, before) = text.split_once('-').map_or((text, None), |(core, before)| (core, Some(before)));
    for part in before.into_iter().flat_map(|before| before.split('.')) {
        refuse(part.is_empty(), "pre-release identifier is empty")?;
        if let Some(wrong) = part.chars().find(|character| !fits(character)) {
            return Err(format!("{} in pre-release identifier", unknown_character(wrong)));
        }
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        refuse(
            is_number && part.len() > 1 && part.starts_with('0'),
            "pre-release numeric identifier starts with zero",
        )?;
    }
    let versions: Vec<&str> = core.split('.').collect();
    refuse(versions.len() != 3, "versionCore must have 3 numbers separated by dot")?;
    for (name, version) in ["major", "minor", "patch"].iter().zip(versions) {
        refuse(version.is_empty(), &format!("{name} is empty"))?;
        refuse(version.len() > 1 && version.starts_with('0'), &format!("{name} starts with zero"))?;
        refuse(!version.bytes().all(|byte| byte.is_ascii_digit()), &format!("{name} contains non-digit"))?;
    }
    Ok(())
}
