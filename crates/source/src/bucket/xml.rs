//! The little XML that listings are made of.

/// The text of every `<name>…</name>`, without attributes, not nested in itself.
pub(super) fn all<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(open.as_str()) {
        let Some((inner, tail)) = after.split_once(close.as_str()) else { break };
        found.push(inner);
        rest = tail;
    }
    found
}

/// The first of them, its entities resolved.
pub(crate) fn first(text: &str, name: &str) -> Option<String> {
    all(text, name).first().map(|text| unescape(text))
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((entity, tail)) = after.split_once(';').filter(|(entity, _)| entity.len() < 12) else {
            out.push('&');
            rest = after;
            continue;
        };
        let letter = match entity {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => {
                let number = entity.strip_prefix('#');
                let hex = number.and_then(|number| number.strip_prefix(['x', 'X']));
                let code = match (hex, number) {
                    (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
                    (None, Some(number)) => number.parse().ok(),
                    _ => None,
                };
                code.and_then(char::from_u32)
            }
        };
        match letter {
            Some(letter) => out.push(letter),
            None => out.push_str(&format!("&{entity};")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings() {
        let text = "<A><C><Key>a &amp; b&#x2f;&#34;</Key></C><C><Key>c</Key></C></A>";
        assert_eq!(all(text, "C").len(), 2);
        assert_eq!(first(text, "Key").as_deref(), Some("a & b/\""));
        assert_eq!(first("<Key>open", "Key"), None);
        assert_eq!(unescape("a & b &unknown; &"), "a & b &unknown; &");
    }
}
