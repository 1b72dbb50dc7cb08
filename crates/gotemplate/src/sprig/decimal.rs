//! Exact decimals for `addf`, `subf`, `mulf` and `divf`.

use num_bigint::{BigInt, Sign};

use crate::func::FuncError;

/// Places that a quotient has.
const DIVISION_PLACES: i32 = 16;

/// `digits × 10^exponent`.
#[derive(Clone)]
pub(super) struct Decimal {
    digits: BigInt,
    exponent: i32,
}

impl Decimal {
    /// The decimal with the fewest digits that reads back as `number`.
    pub(super) fn from_float(number: f64) -> Result<Self, FuncError> {
        if !number.is_finite() {
            let name = crate::fmt::float_g(number);
            return Err(format!("Cannot create a Decimal from {name}").into());
        }
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let places = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
        let digits = mantissa.replace('.', "").parse().unwrap_or_default();
        Ok(Decimal { digits, exponent: exponent.parse::<i32>().unwrap_or(0) - places })
    }

    /// The nearest float.
    pub(super) fn to_float(&self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(0.0)
    }

    /// The digits at a smaller exponent.
    fn at(&self, exponent: i32) -> BigInt {
        &self.digits * BigInt::from(10).pow((self.exponent - exponent).max(0).unsigned_abs())
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Decimal { digits: self.at(exponent) + other.at(exponent), exponent }
    }

    pub(super) fn sub(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Decimal { digits: self.at(exponent) - other.at(exponent), exponent }
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        Decimal { digits: &self.digits * &other.digits, exponent: self.exponent + other.exponent }
    }

    /// The quotient with sixteen places, rounded half away from zero.
    pub(super) fn div(&self, other: &Self) -> Result<Self, FuncError> {
        if other.digits.sign() == Sign::NoSign {
            return Err("decimal division by 0".into());
        }
        let shift = self.exponent - other.exponent + DIVISION_PLACES;
        let power = BigInt::from(10).pow(shift.unsigned_abs());
        let (numerator, denominator) = if shift >= 0 {
            (&self.digits * power, other.digits.clone())
        } else {
            (self.digits.clone(), &other.digits * power)
        };
        let mut digits = &numerator / &denominator;
        let rest: BigInt = (&numerator % &denominator) * 2;
        if rest.magnitude() >= denominator.magnitude() {
            let negative = (numerator.sign() == Sign::Minus) != (denominator.sign() == Sign::Minus);
            digits += if negative { -1 } else { 1 };
        }
        Ok(Decimal { digits, exponent: -DIVISION_PLACES })
    }
}
