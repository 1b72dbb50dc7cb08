//! What a call costs of the steps an environment has: a loop of few rounds can ask for endless work too.

use crate::env::Env;
use crate::func::FuncError;
use crate::value::Value;

/// What an item of a list counts beside a byte of a text.
const ITEM: usize = 16;

/// How a function's work grows with what it is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Price {
    /// With the bytes and items at hand; what lies deeper is shared.
    Shallow,
    /// With everything within its arguments, which may be far more than was ever made: values are shared,
    /// and a list of twice the same list needs one step to make and doubles what is walked.
    Deep,
    /// With every item beside every other.
    Pairs,
    /// With every byte, at great length.
    Bytes,
    /// So much, whatever it is given.
    Fixed(u64),
    /// What a private key of the kind in the first argument costs.
    Key,
}

/// About as many steps as an RSA key takes; one of an elliptic curve, or a signature; a certificate with a
/// key of its own.
const RSA: u64 = 600_000;
const CURVE: u64 = 20_000;
const CERTIFICATE: u64 = 300_000;
/// A password that is hashed to be slow to guess.
const PASSWORD: u64 = 300_000;

impl Price {
    /// The price of a function of Go, sprig or Helm.
    pub(crate) fn of(name: &str) -> Price {
        match name {
            "toYaml" | "mustToYaml" | "toYamlPretty" | "toJson" | "mustToJson" | "toPrettyJson"
            | "mustToPrettyJson" | "toRawJson" | "mustToRawJson" | "toToml" | "mustToToml" | "print"
            | "println" | "printf" | "cat" | "toString" | "quote" | "squote" | "html" | "js" | "urlquery"
            | "join" | "toStrings" | "sortAlpha" | "deepCopy" | "mustDeepCopy" | "deepEqual" | "merge"
            | "mustMerge" | "mergeOverwrite" | "mustMergeOverwrite" | "has" | "mustHas" | "compact"
            | "mustCompact" => Price::Deep,
            "uniq" | "mustUniq" | "without" | "mustWithout" => Price::Pairs,
            "shuffle" => Price::Bytes,
            "genPrivateKey" => Price::Key,
            "genCA" | "genSelfSignedCert" | "genSignedCert" => Price::Fixed(CERTIFICATE),
            "genCAWithKey" | "genSelfSignedCertWithKey" | "genSignedCertWithKey" => Price::Fixed(CURVE),
            "bcrypt" | "htpasswd" | "derivePassword" => Price::Fixed(PASSWORD),
            // Another template runs, with a buffer of its own.
            "include" | "tpl" => Price::Fixed(16),
            _ => Price::Shallow,
        }
    }

    /// The steps of a call with these arguments; counting ends beyond `most`.
    pub(crate) fn steps(self, args: &[Value], most: u64) -> u64 {
        match self {
            Price::Shallow => args.iter().map(shallow).sum(),
            Price::Deep => deep(args, most),
            Price::Pairs => {
                let all = deep(args, most);
                let length = args.iter().find_map(Value::as_list).map_or(0, |list| list.items.len() as u64);
                // The items are compared with each other, or with the other arguments.
                let pairs = length.saturating_mul(length.max(args.len() as u64));
                all.saturating_add(pairs.saturating_mul(all / length.max(1) + 1) / 16)
            }
            Price::Bytes => args.iter().map(|value| shallow(value).saturating_mul(64)).sum(),
            Price::Key => match args.first().and_then(Value::as_str) {
                Some("rsa" | "dsa") => RSA,
                _ => CURVE,
            },
            Price::Fixed(steps) => args.iter().map(shallow).sum::<u64>().saturating_add(steps),
        }
    }
}

/// The steps that the bytes and items of a value stand for.
fn shallow(value: &Value) -> u64 {
    match value {
        Value::Str(text) => text.len() as u64 / 64,
        Value::List(list) => list.items.len() as u64 / 8,
        Value::Map(map) => map.len() as u64 / 16,
        _ => 0,
    }
}

/// The steps that values with all that is in them stand for, as often as they are in there; about `most`
/// when it is more.
fn deep(values: &[Value], most: u64) -> u64 {
    let mut steps = 0;
    for value in values {
        walk(value, most, 0, &mut steps);
    }
    steps
}

fn walk(value: &Value, most: u64, depth: usize, steps: &mut u64) {
    // Functions stop at this depth as well.
    if *steps > most || depth > crate::value::MAX_DEPTH {
        return;
    }
    *steps += shallow(value);
    match value {
        Value::List(list) if list.elem == crate::value::Elem::Byte => {}
        Value::List(list) => {
            *steps += list.items.len() as u64 / 2;
            for item in &list.items {
                if matches!(item, Value::List(_) | Value::Map(_) | Value::Str(_)) {
                    walk(item, most, depth + 1, steps);
                }
            }
        }
        Value::Map(map) => {
            let entries = map.borrow();
            *steps += entries.len() as u64;
            for item in entries.values() {
                if matches!(item, Value::List(_) | Value::Map(_) | Value::Str(_)) {
                    walk(item, most, depth + 1, steps);
                }
            }
        }
        _ => {}
    }
}

impl Env<'_> {
    /// Takes steps away, or says that there are none left.
    pub(crate) fn charge(&mut self, steps: u64) -> Result<(), FuncError> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > self.limits.steps {
            true => Err(FuncError::limit("the templates take more steps than are allowed")),
            false => Ok(()),
        }
    }

    /// The steps that are left.
    pub(crate) fn left(&self) -> u64 {
        self.limits.steps.saturating_sub(self.steps)
    }

    /// Takes away what a call costs before it runs.
    pub(crate) fn charge_call(&mut self, price: Price, args: &[Value]) -> Result<(), FuncError> {
        let steps = price.steps(args, self.left());
        // What one call puts together must be held at once.
        if matches!(price, Price::Deep | Price::Pairs) && steps > (self.limits.output as u64 / 16).max(1000) {
            return Err(FuncError::limit("the arguments are more than is allowed"));
        }
        self.charge(steps)
    }

    /// Takes away what a result costs, which must not be longer than the output may get.
    pub(crate) fn charge_result(&mut self, value: &Value) -> Result<(), FuncError> {
        let size = match value {
            Value::Str(text) => text.len(),
            Value::List(list) => list.items.len().saturating_mul(ITEM),
            _ => 0,
        };
        if size > self.limits.output {
            return Err(FuncError::limit("the result is longer than is allowed"));
        }
        self.charge(shallow(value))
    }
}
