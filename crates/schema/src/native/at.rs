//! A place in an object: its value and its path, so that a rule reads as it is said.

use object::{Quantity, Value};

use super::names;
use crate::{FieldError, Reason};

static NOTHING: Value = Value::Null;

/// Errors as they are found.
pub(super) type Errors = Vec<FieldError>;

/// A value and where it is.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    /// The value; null when there is none.
    pub(super) value: &'a Value,
    /// The path, as messages name it.
    pub(super) path: String,
}

impl<'a> At<'a> {
    /// The whole of something that messages call `path`.
    pub(super) fn new(value: &'a Value, path: impl Into<String>) -> At<'a> {
        At { value, path: path.into() }
    }

    /// A value of the object, for messages under another path.
    pub(super) fn named(&self, path: impl Into<String>) -> At<'a> {
        At { value: self.value, path: path.into() }
    }

    /// A field.
    pub(super) fn get(&self, field: &str) -> At<'a> {
        let path = if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) };
        At { value: self.value.get(field).unwrap_or(&NOTHING), path }
    }

    /// The path of a field.
    pub(super) fn child(&self, field: &str) -> String {
        self.get(field).path
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let path = self.path.clone();
        let list: &'a [Value] = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().enumerate().map(move |(index, value)| At { value, path: format!("{path}[{index}]") })
    }

    /// The entries of a mapping, under paths with their keys in brackets.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
        let path = self.path.clone();
        let map = self.value.as_object();
        map.into_iter()
            .flatten()
            .map(move |(key, value)| (key.as_str(), At { value, path: format!("{path}[{key}]") }))
    }

    /// The number of elements or entries.
    pub(super) fn len(&self) -> usize {
        match self.value {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// Whether it is there.
    pub(super) fn some(&self) -> bool {
        !self.value.is_null()
    }

    /// Text, empty for none.
    pub(super) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        self.value.as_array().into_iter().flatten().map(|own| own.as_str().unwrap_or_default()).collect()
    }

    /// A whole number.
    pub(super) fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// A whole number, zero for none.
    pub(super) fn number(&self) -> i64 {
        self.int().unwrap_or(0)
    }

    /// Whether it is true.
    pub(super) fn yes(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    /// A quantity; decoded objects have no wrong ones.
    pub(super) fn quantity(&self) -> Option<Quantity> {
        Quantity::from_value(self.value).ok()
    }

    /// It is missing.
    pub(super) fn required(&self, errors: &mut Errors) {
        self.required_because("", errors);
    }

    /// It is missing, and why that is wrong.
    pub(super) fn required_because(&self, detail: &str, errors: &mut Errors) {
        errors.push(FieldError::required(&self.path, detail));
    }

    /// Text or a list that must not be empty; whether it is not.
    pub(super) fn must(&self, errors: &mut Errors) -> bool {
        let there = !self.text().is_empty() || self.len() > 0;
        if !there {
            self.required(errors);
        }
        there
    }

    /// Its value is wrong.
    pub(super) fn invalid(&self, detail: impl Into<String>, errors: &mut Errors) {
        errors.push(FieldError::invalid(&self.path, self.value.clone(), detail));
    }

    /// Its value is wrong, which messages show as `shown`.
    pub(super) fn invalid_as(&self, shown: impl Into<Value>, detail: impl Into<String>, errors: &mut Errors) {
        errors.push(FieldError::invalid(&self.path, shown, detail));
    }

    /// It is a wrong label selector.
    pub(super) fn invalid_selector(&self, detail: &str, errors: &mut Errors) {
        let shown = match self.some() {
            true => super::internal::shown("meta.LabelSelector", self.value),
            false => "null".to_owned(),
        };
        errors.push(FieldError::invalid_shown(&self.path, &shown, detail));
    }

    /// A label selector that must be what it was.
    pub(super) fn unchanged_selector(&self, before: &At<'_>, errors: &mut Errors) {
        if self.value != before.value {
            self.invalid_selector("field is immutable", errors);
        }
    }

    /// It may not be there.
    pub(super) fn forbidden(&self, detail: impl Into<String>, errors: &mut Errors) {
        errors.push(FieldError::forbidden(&self.path, detail));
    }

    /// Its value was there before.
    pub(super) fn duplicate(&self, shown: impl Into<Value>, errors: &mut Errors) {
        errors.push(FieldError::duplicate(&self.path, shown));
    }

    /// What it names is not there.
    pub(super) fn not_found(&self, detail: impl Into<String>, errors: &mut Errors) {
        errors.push(FieldError {
            reason: Reason::NotFound,
            field: self.path.clone(),
            value: Some(self.value.clone()),
            detail: detail.into(),
        });
    }

    /// Its value must be one of these.
    pub(super) fn one_of(&self, known: &[&str], errors: &mut Errors) {
        if !known.contains(&self.text()) {
            let shown = if self.some() { self.value.clone() } else { "".into() };
            errors.push(FieldError::not_supported(&self.path, shown, known));
        }
    }

    /// As [`At::one_of`], where nothing is said to be missing.
    pub(super) fn must_be_one_of(&self, known: &[&str], errors: &mut Errors) {
        if self.text().is_empty() {
            self.required(errors);
        } else {
            self.one_of(known, errors);
        }
    }

    /// As [`At::one_of`], where nothing is right too.
    pub(super) fn may_be_one_of(&self, known: &[&str], errors: &mut Errors) {
        if self.some() {
            self.one_of(known, errors);
        }
    }

    /// Each of these is wrong with its text.
    pub(super) fn judge(&self, wrong: Vec<String>, errors: &mut Errors) {
        for detail in wrong {
            let shown = if self.some() { self.value.clone() } else { "".into() };
            errors.push(FieldError::invalid(&self.path, shown, detail));
        }
    }

    /// Text that must be an RFC 1123 label.
    pub(super) fn label(&self, errors: &mut Errors) {
        self.judge(names::dns_labels(self.text()), errors);
    }

    /// Text that must be an RFC 1123 subdomain.
    pub(super) fn subdomain(&self, errors: &mut Errors) {
        self.judge(names::dns_subdomains(self.text()), errors);
    }

    /// Text that must be a qualified name.
    pub(super) fn qualified(&self, errors: &mut Errors) {
        self.judge(names::qualified_names(self.text()), errors);
    }

    /// A number that must not be negative.
    pub(super) fn not_negative(&self, errors: &mut Errors) {
        if self.number() < 0 {
            self.invalid(super::NOT_NEGATIVE, errors);
        }
    }

    /// A number that must be positive.
    pub(super) fn positive(&self, errors: &mut Errors) {
        if self.number() <= 0 {
            self.invalid_as(self.number(), super::NOT_POSITIVE, errors);
        }
    }

    /// A number that must be in a range.
    pub(super) fn within(&self, least: i64, most: i64, errors: &mut Errors) {
        if !(least..=most).contains(&self.number()) {
            let detail = format!("must be between {least} and {most}, inclusive");
            self.invalid_as(self.number(), detail, errors);
        }
    }

    /// A port number.
    pub(super) fn port(&self, errors: &mut Errors) {
        self.within(1, 65535, errors);
    }

    /// A port by number or name.
    pub(super) fn port_or_name(&self, errors: &mut Errors) {
        match self.value {
            Value::String(name) => self.judge(names::port_names(name), errors),
            _ => self.port(errors),
        }
    }

    /// An address.
    pub(super) fn address(&self, errors: &mut Errors) -> bool {
        let fits = names::sloppy_ip(self.text()).is_some();
        if !fits {
            let shown = if self.some() { self.value.clone() } else { "".into() };
            self.invalid_as(shown, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", errors);
        }
        fits
    }

    /// A range of addresses.
    pub(super) fn cidr(&self, errors: &mut Errors) {
        if names::sloppy_cidr(self.text()).is_none() {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            self.invalid(detail, errors);
        }
    }

    /// The mode of a file.
    pub(super) fn mode(&self, errors: &mut Errors) {
        if self.int().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
            self.invalid("must be a number between 0 and 0777 (octal), both inclusive", errors);
        }
    }

    /// It must be what it was.
    pub(super) fn unchanged(&self, before: &At<'_>, errors: &mut Errors) {
        if self.value != before.value {
            self.invalid("field is immutable", errors);
        }
    }
}
