//! Numbers of JSON, compared exactly, and as the validator's texts show them.

use num_bigint::BigInt;
use serde_json::Number;
use std::cmp::Ordering;

/// Exponents beyond this are no sensible bound of anything.
const MAX_EXPONENT: i64 = 5_000;

/// `digits × 10^exponent`.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    digits: BigInt,
    exponent: i64,
    float: f64,
}

impl Decimal {
    /// A number, unless its exponent is absurd.
    pub(super) fn of(number: &Number) -> Option<Decimal> {
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent - i64::try_from(fraction.len()).ok()?;
        let float = number.as_f64()?;
        (exponent.abs() <= MAX_EXPONENT).then_some(Decimal { digits, exponent, float })
    }

    /// Both numbers' digits at the same exponent.
    fn aligned(&self, other: &Decimal) -> (BigInt, BigInt) {
        let least = self.exponent.min(other.exponent);
        let at = |number: &Decimal| {
            let by = u32::try_from(number.exponent - least).unwrap_or_default();
            &number.digits * BigInt::from(10u32).pow(by)
        };
        (at(self), at(other))
    }

    pub(super) fn compare(&self, other: &Decimal) -> Ordering {
        let (ours, theirs) = self.aligned(other);
        ours.cmp(&theirs)
    }

    /// Whether it is a whole multiple of another number, which is not zero.
    pub(super) fn is_multiple_of(&self, other: &Decimal) -> bool {
        let (ours, theirs) = self.aligned(other);
        theirs == BigInt::ZERO || ours % theirs == BigInt::ZERO
    }

    /// The number as a count, when it is whole.
    pub(super) fn count(&self) -> Option<i64> {
        let one = Decimal { digits: 1.into(), exponent: 0, float: 1.0 };
        if !self.is_multiple_of(&one) {
            return None;
        }
        i64::try_from(self.aligned(&one).0 / Decimal::aligned(&one, self).0).ok()
    }

    /// The number in an English text: thousands apart, large and small ones with a power of ten.
    pub(super) fn show(&self) -> String {
        let plain = crate::values::format_g(self.float);
        match plain.split_once('e') {
            None => thousands(&plain),
            Some((mantissa, exponent)) => format!("{mantissa}×10{}", raised(exponent)),
        }
    }
}

/// Digits in groups of three before the point.
pub(super) fn thousands(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(a, b)| (a, Some(b)));
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// An exponent of at least two digits, raised.
fn raised(exponent: &str) -> String {
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("⁻", rest));
    let digits = digits.trim_start_matches('+');
    let digits = digits.chars().map(|digit| match digit {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        other => other,
    });
    std::iter::once(sign.to_owned()).chain(digits.map(String::from)).collect()
}

/// Whether a number is whole: `2.0` is.
pub(super) fn is_whole(number: &Number) -> bool {
    !number.is_f64()
        || Decimal::of(number).is_some_and(|number| number.count().is_some() || number.exponent >= 0)
}

/// Whether two numbers are the same: `1` and `1.0` are.
pub(super) fn same(a: &Number, b: &Number) -> bool {
    a == b
        || match (Decimal::of(a), Decimal::of(b)) {
            (Some(a), Some(b)) => a.compare(&b) == Ordering::Equal,
            _ => false,
        }
}
