//! `semver` and `semverCompare`.

use std::rc::Rc;

use super::{Res, arg, text};
use crate::func::{Context, FuncError, Function, Param};
use crate::semver::{Constraint, Version};
use crate::value::{Kind, Object, Str, UintType, Value, method};

pub(super) fn functions() -> Vec<Function> {
    let native = Function::native;
    vec![
        native("semver", &[Param::String], false, |_, args| parsed(Version::parse(&text(args, 0))?)),
        native("semverCompare", &[Param::String, Param::String], false, compare),
    ]
}

fn parsed(version: Version) -> Res {
    Ok(Value::object(Parsed { version, pointer: true }))
}

fn compare(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let constraint = Constraint::parse(&text(args, 0))?;
    let version = Version::parse(&text(args, 1))?;
    Ok(Value::Bool(constraint.check(&version)))
}

const POINTER: &str = "*semver.Version";

/// A `semver.Version`, or a pointer to one.
struct Parsed {
    version: Version,
    pointer: bool,
}

fn version_of(value: &Value) -> Result<Version, FuncError> {
    // What was printed reads back as the same version.
    match value {
        Value::Object(object) => match object.string() {
            Some(text) => Ok(Version::parse(&text.to_text())?),
            None => Err(super::NIL_PANIC.into()),
        },
        _ => Err(super::NIL_PANIC.into()),
    }
}

impl Parsed {
    /// The next version: of which part, and whether a prerelease alone is dropped.
    fn increment(&self, part: usize) -> Result<Version, FuncError> {
        let old = &self.version;
        let overflow = || FuncError::from("version increment would overflow uint64");
        let next = |number: u64| number.checked_add(1).ok_or_else(overflow);
        let (major, minor, patch) = match part {
            0 => (next(old.major)?, 0, 0),
            1 => (old.major, next(old.minor)?, 0),
            _ if !old.pre.is_empty() => (old.major, old.minor, old.patch),
            _ => (old.major, old.minor, next(old.patch)?),
        };
        let prefix = if old.original.starts_with('v') { "v" } else { "" };
        let original = format!("{prefix}{major}.{minor}.{patch}");
        Ok(Version { major, minor, patch, pre: String::new(), metadata: String::new(), original })
    }
}

impl Object for Parsed {
    fn type_name(&self) -> &str {
        if self.pointer { POINTER } else { "semver.Version" }
    }

    fn kind(&self) -> Kind {
        if self.pointer { Kind::Ptr } else { Kind::Struct }
    }

    fn string(&self) -> Option<Str> {
        Some(Str::from(self.version.to_string()))
    }

    fn encoded(&self) -> Option<Value> {
        Some(Value::from(self.version.to_string()))
    }

    fn method(&self, name: &str) -> Option<Rc<Function>> {
        const OTHER: &[Param] = &[Param::Named(POINTER)];
        let version = self.version.clone();
        let constant = |name: &'static str, value: Value| method(name, &[], move |_, _| Ok(value.clone()));
        let number = |number: u64| Value::Uint(number, UintType::Uint64);
        let increment = |name: &'static str, part: usize| {
            let own = Parsed { version: self.version.clone(), pointer: false };
            method(name, &[], move |_, _| {
                Ok(Value::object(Parsed { version: own.increment(part)?, pointer: false }))
            })
        };
        let test = |name: &'static str, good: fn(std::cmp::Ordering) -> bool| {
            let own = self.version.clone();
            method(name, OTHER, move |_, args| Ok(Value::Bool(good(own.compare(&version_of(arg(args, 0))?)))))
        };
        match name {
            "Major" => constant("Major", number(version.major)),
            "Minor" => constant("Minor", number(version.minor)),
            "Patch" => constant("Patch", number(version.patch)),
            "Prerelease" => constant("Prerelease", Value::from(version.pre)),
            "Metadata" => constant("Metadata", Value::from(version.metadata)),
            "Original" => constant("Original", Value::from(version.original)),
            "String" => constant("String", Value::from(version.to_string())),
            "IncMajor" => increment("IncMajor", 0),
            "IncMinor" => increment("IncMinor", 1),
            "IncPatch" => increment("IncPatch", 2),
            "Compare" => method("Compare", OTHER, move |_, args| {
                Ok(Value::int(version.compare(&version_of(arg(args, 0))?) as i64))
            }),
            "LessThan" => test("LessThan", |order| order.is_lt()),
            "LessThanEqual" => test("LessThanEqual", |order| order.is_le()),
            "GreaterThan" => test("GreaterThan", |order| order.is_gt()),
            "GreaterThanEqual" => test("GreaterThanEqual", |order| order.is_ge()),
            "Equal" => test("Equal", |order| order.is_eq()),
            _ => None,
        }
    }
}
