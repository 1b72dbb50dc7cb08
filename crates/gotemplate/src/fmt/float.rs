//! Floats as `strconv.FormatFloat` prints them.

/// The shortest decimal digits that read back as `value`, and the exponent of the first one.
fn shortest(value: f64) -> (Vec<u8>, i32) {
    split(&format!("{value:e}"))
}

/// `d.ddde±x` as digits and exponent.
fn split(text: &str) -> (Vec<u8>, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    (digits, exponent.parse().unwrap_or(0))
}

/// Formats the finite or infinite `value` with the verb `e`, `E`, `f`, `F`, `g`, `G` or `b`; without a
/// precision, with as few digits as needed.
pub(crate) fn format(value: f64, verb: u8, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let value = value.abs();
    let body = match verb {
        b'e' | b'E' => {
            let (digits, exponent) = match precision {
                Some(precision) => split(&format!("{value:.precision$e}")),
                None => shortest(value),
            };
            scientific(&digits, exponent, verb)
        }
        b'f' | b'F' => match precision {
            Some(precision) => format!("{value:.precision$}"),
            None => format!("{value}"),
        },
        b'b' => binary(value),
        b'x' | b'X' => hex(value, verb, precision),
        _ => general(value, verb, precision),
    };
    format!("{sign}{body}")
}

fn general(value: f64, verb: u8, precision: Option<usize>) -> String {
    let (mut digits, exponent) = match precision {
        Some(precision) => {
            let digits = precision.max(1) - 1;
            split(&format!("{value:.digits$e}"))
        }
        None => shortest(value),
    };
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    let threshold = match precision {
        None => 6,
        // More digits asked for than there are: the number itself decides.
        Some(precision) if precision > digits.len() && digits.len() as i32 > exponent => digits.len() as i32,
        Some(precision) => precision.max(1) as i32,
    };
    if exponent < -4 || exponent >= threshold {
        return scientific(&digits, exponent, if verb == b'G' { b'E' } else { b'e' });
    }
    plain(&digits, exponent)
}

fn scientific(digits: &[u8], exponent: i32, verb: u8) -> String {
    let mut out = String::new();
    for (index, digit) in digits.iter().enumerate() {
        if index == 1 {
            out.push('.');
        }
        out.push(char::from(*digit));
    }
    out.push(char::from(verb));
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.unsigned_abs()));
    out
}

fn plain(digits: &[u8], exponent: i32) -> String {
    let mut out = String::new();
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.extend(digits.iter().map(|digit| char::from(*digit)));
        return out;
    }
    let whole = exponent as usize + 1;
    for index in 0..whole.max(digits.len()) {
        if index == whole {
            out.push('.');
        }
        out.push(digits.get(index).map_or('0', |digit| char::from(*digit)));
    }
    out
}

fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    format!("{mantissa}p{exponent:+}")
}

fn hex(value: f64, verb: u8, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        exponent = 0;
    } else {
        let shift = mantissa.leading_zeros() as i32 - 11;
        mantissa <<= shift;
        exponent += 52 - shift;
    }
    let mut digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let mut whole = mantissa >> 52;
    match precision {
        None => digits.truncate(digits.trim_end_matches('0').len()),
        Some(precision) if precision < 13 => {
            let drop = 4 * (13 - precision) as u32;
            let half = 1u64 << (drop - 1);
            let rest = mantissa & ((1u64 << drop) - 1);
            let mut kept = mantissa >> drop;
            if rest > half || (rest == half && kept & 1 == 1) {
                kept += 1;
            }
            let bits = 52 - drop;
            whole = kept >> bits;
            let fraction = kept & ((1u64 << bits) - 1);
            digits = if precision == 0 { String::new() } else { format!("{fraction:0precision$x}") };
            if whole == 2 {
                whole = 1;
                exponent += 1;
            }
        }
        Some(precision) => digits.extend(std::iter::repeat_n('0', precision - 13)),
    }
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("0x{whole}{point}{digits}p{sign}{:02}", exponent.unsigned_abs());
    if verb == b'X' { text.to_uppercase() } else { text }
}
