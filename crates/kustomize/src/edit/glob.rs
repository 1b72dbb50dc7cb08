//! File patterns as Go's `path/filepath` reads them: `*`, `?`, `[a-z]`, and `\` before a character that is
//! meant as it stands. No pattern character matches a slash.

use crate::error::Error;
use crate::remote::clean_relative;
use crate::world::{self, World};

/// How many steps a match may take: patterns with many stars try many ways.
const MAX_STEPS: usize = 1_000_000;

fn bad() -> Error {
    Error::new("syntax error in pattern")
}

/// One piece of a pattern.
enum Piece {
    /// Any run of characters.
    Star,
    /// Any one character.
    Any,
    /// This character.
    Char(char),
    /// One of these ranges, or none of them.
    Class(bool, Vec<(char, char)>),
}

fn pieces(pattern: &str) -> Result<Vec<Piece>, Error> {
    let mut out = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Piece::Star,
            '?' => Piece::Any,
            '\\' => Piece::Char(chars.next().ok_or_else(bad)?),
            '[' => {
                let negated = chars.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                loop {
                    if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
                        break;
                    }
                    let low = class_char(&mut chars)?;
                    let high = if chars.next_if_eq(&'-').is_some() { class_char(&mut chars)? } else { low };
                    ranges.push((low, high));
                }
                Piece::Class(negated, ranges)
            }
            c => Piece::Char(c),
        });
    }
    Ok(out)
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, Error> {
    match chars.next() {
        None | Some('-' | ']') => Err(bad()),
        Some('\\') => chars.next().ok_or_else(bad),
        Some(c) => Ok(c),
    }
}

/// Does the whole name match?
pub fn matches(pattern: &str, name: &str) -> Result<bool, Error> {
    let pieces = pieces(pattern)?;
    let name: Vec<char> = name.chars().collect();
    let (mut piece, mut at) = (0, 0);
    // Where to go on when the last star takes one character more.
    let mut again: Option<(usize, usize)> = None;
    for _ in 0..MAX_STEPS {
        let step = match (pieces.get(piece), name.get(at)) {
            (None, None) => return Ok(true),
            (Some(Piece::Star), _) => {
                again = Some((piece + 1, at));
                piece += 1;
                continue;
            }
            (Some(one), Some(c)) => one.takes(*c),
            _ => false,
        };
        if step {
            piece += 1;
            at += 1;
            continue;
        }
        match again {
            Some((after, from)) if name.get(from).is_some_and(|c| *c != '/') => {
                again = Some((after, from + 1));
                piece = after;
                at = from + 1;
            }
            _ => return Ok(false),
        }
    }
    Err(Error::new(format!("{pattern}: the pattern is too complex")))
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Piece::Star => false,
            Piece::Any => c != '/',
            Piece::Char(one) => *one == c,
            Piece::Class(negated, ranges) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn has_magic(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// The files and folders below `dir` that a pattern matches, spelled as the pattern spells their folder;
/// hidden ones only for a pattern whose last part starts with a dot.
pub fn find(world: &dyn World, dir: &str, pattern: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    collect(world, dir, pattern, &mut found)?;
    let hidden = |path: &str| path.rsplit('/').next().unwrap_or(path).starts_with('.');
    if !hidden(pattern) {
        found.retain(|path| !hidden(path));
    }
    Ok(found)
}

fn collect(world: &dyn World, dir: &str, pattern: &str, found: &mut Vec<String>) -> Result<(), Error> {
    pieces(pattern)?;
    let full = |path: &str| world::join(dir, path);
    if !has_magic(pattern) {
        let full = full(pattern);
        if !pattern.is_empty() && (world.is_file(&full) || world.is_dir(&full)) {
            found.push(pattern.to_owned());
        }
        return Ok(());
    }
    let (head, last) = match pattern.rfind('/') {
        Some(at) => (pattern.get(..at).unwrap_or_default(), pattern.get(at + 1..).unwrap_or_default()),
        None => (".", pattern),
    };
    let head = if head.is_empty() { "/" } else { head };
    let mut folders = Vec::new();
    if has_magic(head) {
        collect(world, dir, head, &mut folders)?;
    } else {
        folders.push(head.to_owned());
    }
    for folder in folders {
        // A folder that cannot be read matches nothing, as in Go.
        let Ok(names) = world.list_dir(&full(&folder)) else { continue };
        for name in names {
            if matches(last, &name)? {
                found.push(clean_relative(&format!("{folder}/{name}")));
            }
        }
    }
    Ok(())
}
