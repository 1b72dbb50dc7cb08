//! The text form of label selectors, read as Kubernetes reads it and refused in its words.

use super::selector::{Operator, Requirement, SelectorError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    End,
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    Word,
}

impl Token {
    /// `in` and `notin` are names and values too.
    fn is_word(self) -> bool {
        matches!(self, Token::Word | Token::In | Token::NotIn)
    }
}

fn special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn tokens(text: &str) -> Vec<(Token, &str)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '\r', '\n']);
    while let Some(first) = rest.chars().next() {
        let pair = rest.get(..2).unwrap_or_default();
        let (token, length) = match (first, pair) {
            (_, "==") => (Token::DoubleEquals, 2),
            (_, "!=") => (Token::NotEquals, 2),
            ('=', _) => (Token::Equals, 1),
            ('!', _) => (Token::Not, 1),
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            (',', _) => (Token::Comma, 1),
            ('>', _) => (Token::Greater, 1),
            ('<', _) => (Token::Less, 1),
            _ => {
                let end = rest
                    .find(|c: char| special(c) || matches!(c, ' ' | '\t' | '\r' | '\n'))
                    .unwrap_or(rest.len());
                let token = match rest.get(..end).unwrap_or_default() {
                    "in" => Token::In,
                    "notin" => Token::NotIn,
                    _ => Token::Word,
                };
                (token, end)
            }
        };
        let (literal, after) = rest.split_at(length);
        found.push((token, literal));
        rest = after.trim_start_matches([' ', '\t', '\r', '\n']);
    }
    found.push((Token::End, ""));
    found
}

/// The requirements of a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        let (token, literal) = parser.peek();
        if token == Token::End {
            return Ok(requirements);
        }
        if !token.is_word() && token != Token::Not {
            return refuse(format!("found '{literal}', expected: !, identifier, or 'end of string'"));
        }
        let one = parser
            .requirement()
            .map_err(|error| SelectorError(format!("unable to parse requirement: {}", error.0)))?;
        requirements.push(one);
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => {
                let (token, literal) = parser.peek();
                if !token.is_word() && token != Token::Not {
                    return refuse(format!("found '{literal}', expected: identifier after ','"));
                }
            }
            (_, literal) => return refuse(format!("found '{literal}', expected: ',' or 'end of string'")),
        }
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, SelectorError> {
    Err(SelectorError(message.into()))
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> (Token, &'a str) {
        self.tokens.get(self.at).copied().unwrap_or((Token::End, ""))
    }

    fn next(&mut self) -> (Token, &'a str) {
        let found = self.peek();
        self.at += 1;
        found
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if !token.is_word() {
            return refuse(format!("found '{key}', expected: identifier"));
        }
        check_key(key)?;
        let bare = matches!(self.peek().0, Token::End | Token::Comma);
        if negated || bare {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Ok(Requirement { key: key.to_owned(), operator, values: Vec::new() });
        }
        let (token, literal) = self.next();
        let (operator, listed) = match token {
            Token::In => (Operator::In, true),
            Token::NotIn => (Operator::NotIn, true),
            Token::Equals | Token::DoubleEquals => (Operator::In, false),
            Token::NotEquals => (Operator::NotIn, false),
            Token::Greater => (Operator::GreaterThan, false),
            Token::Less => (Operator::LessThan, false),
            _ => return refuse(format!("found '{literal}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let mut values = if listed { self.values()? } else { vec![self.value()?] };
        values.sort_unstable();
        values.dedup();
        check_values(key, operator, &values)?;
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    fn value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        let (token, literal) = self.next();
        if token.is_word() {
            return Ok(literal.to_owned());
        }
        refuse(format!("found '{literal}', expected: identifier"))
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        let (token, literal) = self.next();
        if token != Token::Open {
            return refuse(format!("found '{literal}' expected: '('"));
        }
        let (token, literal) = self.peek();
        if token == Token::Close {
            self.at += 1;
            return Ok(vec![String::new()]);
        }
        if !token.is_word() && token != Token::Comma {
            return refuse(format!("found '{literal}', expected: ',', ')' or identifier"));
        }
        // An empty place between commas or next to a parenthesis is an empty value.
        let mut values = Vec::new();
        let mut empty_place = true;
        loop {
            let (token, literal) = self.next();
            match token {
                Token::Comma => {
                    if empty_place {
                        values.push(String::new());
                    }
                    empty_place = true;
                }
                Token::Close => {
                    if empty_place {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                token if token.is_word() && empty_place => {
                    values.push(literal.to_owned());
                    empty_place = false;
                }
                token if token.is_word() => {
                    return refuse(format!("found '{literal}', expected: ',' or ')'"));
                }
                _ if empty_place => {
                    return refuse(format!("found '{literal}', expected: ',', or identifier"));
                }
                _ => return refuse(format!("found '{literal}', expected: ',' or ')'")),
            }
        }
    }
}

const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn check_key(key: &str) -> Result<(), SelectorError> {
    let wrong = |why: &str| refuse(format!("<nil>: Invalid value: {key:?}: {why}"));
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    match prefix {
        Some("") => return wrong("prefix part must be non-empty"),
        Some(prefix) if prefix.len() > 253 => {
            return wrong("prefix part must be no more than 253 characters");
        }
        Some(prefix) if !prefix.split('.').all(is_label) => return wrong(PREFIX),
        _ => {}
    }
    match name.len() {
        0 => wrong(&format!("name part must be non-empty; {NAME}")),
        64.. => wrong("name part must be no more than 63 characters"),
        _ if !is_word(name) => wrong(NAME),
        _ => Ok(()),
    }
}

fn check_values(key: &str, operator: Operator, values: &[String]) -> Result<(), SelectorError> {
    for (index, value) in values.iter().enumerate() {
        let integer = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        if integer && value.parse::<i64>().is_err() {
            return refuse(format!(
                "values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ));
        }
        let path = format!("values[{index}][{key}]");
        if value.len() > 63 {
            return refuse(format!("{path}: Invalid value: {value:?}: must be no more than 63 characters"));
        }
        if !value.is_empty() && !is_word(value) {
            return refuse(format!("{path}: Invalid value: {value:?}: {VALUE}"));
        }
    }
    Ok(())
}

fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || matches!(c, '-' | '_' | '.'))
}
