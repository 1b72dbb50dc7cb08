//! Resource quantities: `100m`, `1.5Gi`, `12e6`.

use std::fmt;
use std::str::FromStr;

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Format {
    DecimalSi,
    BinarySi,
    DecimalExponent,
}

/// An amount, exact to a billionth, with the way it is written.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It does not look like one.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// Its suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// Its number is malformed or too large.
    #[error("unable to parse numeric part of quantity")]
    Number,
}

const NANO: i128 = 1_000_000_000;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Format);
        }
        let (base, exponent, format) = interpret(suffix)?;
        // The value is digits * 10^(scale) [* 2^exponent], in billionths.
        let digits = format!("{whole}{fraction}");
        let mantissa: i128 =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| QuantityError::Number)? };
        let fraction_len = i32::try_from(fraction.len()).map_err(|_| QuantityError::Number)?;
        let (mantissa, scale) = if base == 2 {
            let factor = 1i128.checked_shl(exponent as u32).ok_or(QuantityError::Number)?;
            (mantissa.checked_mul(factor).ok_or(QuantityError::Number)?, 9 - fraction_len)
        } else {
            (mantissa, 9 - fraction_len + exponent)
        };
        let mut nano = shift_rounding_up(mantissa, scale)?;
        let mut format = format;
        if format == Format::BinarySi {
            nano = nano.min(i128::from(i64::MAX) * NANO);
            if nano > 0 && nano < NANO {
                format = Format::DecimalSi;
            }
        }
        Ok(Quantity { nano: if negative { -nano } else { nano }, format })
    }
}

/// Multiplies by a power of ten; what falls below a billionth is rounded up, away from zero.
fn shift_rounding_up(mantissa: i128, scale: i32) -> Result<i128, QuantityError> {
    if mantissa == 0 {
        return Ok(0);
    }
    let power = 10i128.checked_pow(scale.unsigned_abs());
    if scale >= 0 {
        power.and_then(|power| mantissa.checked_mul(power)).ok_or(QuantityError::Number)
    } else {
        // A power that is too large leaves less than one billionth.
        Ok(power.map_or(1, |power| mantissa / power + i128::from(mantissa % power != 0)))
    }
}

fn interpret(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((10, *exponent, Format::DecimalSi));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok((2, *exponent as i32, Format::BinarySi));
    }
    if let Some(exponent) = suffix.strip_prefix(['e', 'E']) {
        let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
        return Ok((10, exponent, Format::DecimalExponent));
    }
    let known = |c: char| "eEinumkKMGTP+-0123456789".contains(c);
    Err(if suffix.chars().all(known) { QuantityError::Suffix } else { QuantityError::Format })
}

impl Quantity {
    /// A whole number.
    pub fn whole(number: i64) -> Quantity {
        Quantity { nano: i128::from(number) * NANO, format: Format::DecimalSi }
    }

    /// The value as an integer, fractions rounded up.
    pub fn value(&self) -> i64 {
        clamp(div_ceil(self.nano, NANO))
    }

    /// The value in thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        clamp(div_ceil(self.nano, NANO / 1000))
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.nano < 0
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.nano == 0
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        self.nano % NANO == 0
    }

    /// The sum; written as this one is.
    #[must_use]
    pub fn plus(&self, other: &Quantity) -> Quantity {
        Quantity {
            nano: self.nano.saturating_add(other.nano),
            format: if self.is_zero() { other.format } else { self.format },
        }
    }

    /// The difference; written as this one is.
    #[must_use]
    pub fn minus(&self, other: &Quantity) -> Quantity {
        Quantity {
            nano: self.nano.saturating_sub(other.nano),
            format: if self.is_zero() { other.format } else { self.format },
        }
    }

    /// The canonical form of a quantity given as JSON (a string or a number).
    ///
    /// # Errors
    /// When it is no quantity.
    pub fn from_value(value: &crate::Value) -> Result<Quantity, QuantityError> {
        match value {
            crate::Value::String(text) => text.parse(),
            crate::Value::Number(number) => number.to_string().parse(),
            _ => Err(QuantityError::Format),
        }
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn div_ceil(value: i128, by: i128) -> i128 {
    // Away from zero, as Kubernetes rounds.
    value / by + (value % by).signum()
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let small = self.nano.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.is_integer() {
            let mut mantissa = self.nano / NANO;
            let mut suffix = "";
            for (name, _) in BINARY {
                if mantissa % 1024 != 0 {
                    break;
                }
                mantissa /= 1024;
                suffix = name;
            }
            return write!(f, "{mantissa}{suffix}");
        }
        let (mut mantissa, mut exponent) = (self.nano, -9);
        while mantissa % 1000 == 0 && (exponent < 18 || self.format == Format::DecimalExponent) {
            mantissa /= 1000;
            exponent += 3;
        }
        if self.format == Format::DecimalExponent {
            return if exponent == 0 { write!(f, "{mantissa}") } else { write!(f, "{mantissa}e{exponent}") };
        }
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent).map_or("", |(name, _)| name);
        write!(f, "{mantissa}{suffix}")
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nano.cmp(&other.nano)
    }
}
