//! Arithmetic.

use super::cast::{to_float64, to_int64};
use super::decimal::Decimal;
use super::{Res, arg, int};
use crate::func::{FuncError, Function, Param};
use crate::value::{Elem, List, Value};

/// Lists of numbers do not get longer.
const MAX_ITEMS: i64 = 10_000_000;

pub(super) fn functions() -> Vec<Function> {
    use Param::{Any, Float, Int, String};
    let native = Function::native;
    vec![
        native("atoi", &[String], false, |_, args| {
            Ok(Value::int(super::cast::decimal(&super::text(args, 0))))
        }),
        native("int64", &[Any], false, |_, args| Ok(Value::int64(to_int64(arg(args, 0))))),
        native("int", &[Any], false, |_, args| Ok(Value::int(to_int64(arg(args, 0))))),
        native("float64", &[Any], false, |_, args| Ok(Value::Float(to_float64(arg(args, 0))))),
        native("toDecimal", &[Any], false, |_, args| {
            Ok(Value::int64(octal(&arg(args, 0).to_string_lossy())))
        }),
        native("seq", &[Int], true, |_, args| seq(args)),
        native("until", &[Int], false, |_, args| {
            let count = int(args, 0);
            ints(&steps(0, count, if count < 0 { -1 } else { 1 })?)
        }),
        native("untilStep", &[Int, Int, Int], false, |_, args| {
            ints(&steps(int(args, 0), int(args, 1), int(args, 2))?)
        }),
        native("add1", &[Any], false, |_, args| Ok(Value::int64(to_int64(arg(args, 0)).wrapping_add(1)))),
        native("add", &[Any], true, |_, args| {
            Ok(Value::int64(args.iter().fold(0i64, |sum, item| sum.wrapping_add(to_int64(item)))))
        }),
        native("sub", &[Any, Any], false, |_, args| {
            Ok(Value::int64(to_int64(arg(args, 0)).wrapping_sub(to_int64(arg(args, 1)))))
        }),
        native("div", &[Any, Any], false, |_, args| divide(args, i64::wrapping_div)),
        native("mod", &[Any, Any], false, |_, args| divide(args, i64::wrapping_rem)),
        native("mul", &[Any, Any], true, |_, args| {
            Ok(Value::int64(args.iter().fold(1i64, |product, item| product.wrapping_mul(to_int64(item)))))
        }),
        native("add1f", &[Any], false, |_, args| {
            let args = [arg(args, 0).clone(), Value::int(1)];
            decimals(&args, |a, b| Ok(a.add(b)))
        }),
        native("addf", &[Any], true, |_, args| {
            let mut all = vec![Value::Float(0.0)];
            all.extend_from_slice(args);
            decimals(&all, |a, b| Ok(a.add(b)))
        }),
        native("subf", &[Any, Any], true, |_, args| decimals(args, |a, b| Ok(a.sub(b)))),
        native("mulf", &[Any, Any], true, |_, args| decimals(args, |a, b| Ok(a.mul(b)))),
        native("divf", &[Any, Any], true, |_, args| decimals(args, |a, b| a.div(b))),
        native("biggest", &[Any, Any], true, |_, args| Ok(best(args, i64::max))),
        native("max", &[Any, Any], true, |_, args| Ok(best(args, i64::max))),
        native("min", &[Any, Any], true, |_, args| Ok(best(args, i64::min))),
        native("maxf", &[Any, Any], true, |_, args| Ok(best_float(args, |a, b| b > a))),
        native("minf", &[Any, Any], true, |_, args| Ok(best_float(args, |a, b| b < a))),
        native("ceil", &[Any], false, |_, args| Ok(Value::Float(to_float64(arg(args, 0)).ceil()))),
        native("floor", &[Any], false, |_, args| Ok(Value::Float(to_float64(arg(args, 0)).floor()))),
        native("round", &[Any, Int, Float], true, |_, args| Ok(Value::Float(round(args)))),
    ]
}

/// The number that a text means in base eight.
fn octal(text: &str) -> i64 {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.starts_with(['+', '-']) {
        return 0;
    }
    i64::from_str_radix(text, 8).unwrap_or(0)
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Res {
    let (a, b) = (to_int64(arg(args, 0)), to_int64(arg(args, 1)));
    if b == 0 {
        return Err("runtime error: integer divide by zero".into());
    }
    Ok(Value::int64(operation(a, b)))
}

fn decimals(args: &[Value], operation: fn(&Decimal, &Decimal) -> Result<Decimal, FuncError>) -> Res {
    let mut result = Decimal::from_float(to_float64(arg(args, 0)))?;
    for item in args.get(1..).unwrap_or_default() {
        result = operation(&result, &Decimal::from_float(to_float64(item))?)?;
    }
    Ok(Value::Float(result.to_float()))
}

fn best(args: &[Value], choose: fn(i64, i64) -> i64) -> Value {
    let first = to_int64(arg(args, 0));
    Value::int64(args.iter().skip(1).fold(first, |best, item| choose(best, to_int64(item))))
}

/// A number that is none wins over all others, as in Go's `math.Max`.
fn best_float(args: &[Value], better: fn(f64, f64) -> bool) -> Value {
    let mut best = to_float64(arg(args, 0));
    for item in args.iter().skip(1) {
        let number = to_float64(item);
        let zeros = best == 0.0 && number == 0.0;
        let replace = if zeros { better(sign(best), sign(number)) } else { better(best, number) };
        if number.is_nan() && !best.is_infinite() || replace {
            best = number;
        }
    }
    Value::Float(best)
}

fn sign(zero: f64) -> f64 {
    1f64.copysign(zero)
}

fn round(args: &[Value]) -> f64 {
    let on = match args.get(2) {
        Some(Value::Float(on)) => *on,
        _ => 0.5,
    };
    let places = i32::try_from(int(args, 1)).unwrap_or(if int(args, 1) < 0 { i32::MIN } else { i32::MAX });
    let power = 10f64.powi(places);
    let digits = power * to_float64(arg(args, 0));
    // The fraction of an infinite number is none.
    let fraction = if digits.is_infinite() { f64::NAN } else { digits - digits.trunc() };
    let rounded = if fraction >= on { digits.ceil() } else { digits.floor() };
    rounded / power
}

/// The numbers from `start` to before `stop`.
fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, FuncError> {
    let mut numbers = Vec::new();
    let down = stop < start;
    if (down && step >= 0) || (!down && step <= 0) {
        return Ok(numbers);
    }
    if (i128::from(stop) - i128::from(start)) / i128::from(step) > i128::from(MAX_ITEMS) {
        return Err(format!("a list of more than {MAX_ITEMS} numbers is too long").into());
    }
    let mut at = start;
    while if down { at > stop } else { at < stop } {
        numbers.push(at);
        at = match at.checked_add(step) {
            Some(next) => next,
            None => break,
        };
    }
    Ok(numbers)
}

fn ints(numbers: &[i64]) -> Res {
    let items = numbers.iter().map(|number| Value::int(*number)).collect();
    Ok(Value::List(std::rc::Rc::new(List::new(Elem::Int, items))))
}

fn seq(args: &[Value]) -> Res {
    let numbers = match args.len() {
        1 => {
            let end = int(args, 0);
            let step = if end < 1 { -1 } else { 1 };
            steps(1, end.wrapping_add(step), step)?
        }
        2 => {
            let (start, end) = (int(args, 0), int(args, 1));
            let step = if end < start { -1 } else { 1 };
            steps(start, end.wrapping_add(step), step)?
        }
        3 => {
            let (start, step, end) = (int(args, 0), int(args, 1), int(args, 2));
            if end < start && step > 0 {
                return Ok(Value::from(""));
            }
            steps(start, end.wrapping_add(if end < start { -1 } else { 1 }), step)?
        }
        _ => Vec::new(),
    };
    let words: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(Value::from(words.join(" ")))
}
