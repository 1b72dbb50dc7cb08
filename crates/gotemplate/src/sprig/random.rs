//! What is random, out of the host's bytes.

use super::{Res, int, text};
use crate::env::Host;
use crate::func::{Context, FuncError, Function, Param};
use crate::value::Value;

/// Random strings do not get longer.
const MAX_LENGTH: i64 = 16 << 20;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";

pub(super) fn functions() -> Vec<Function> {
    use Param::{Int, String};
    const COUNT: &[Param] = &[Int];
    let native = Function::native;
    vec![
        native("randAlphaNum", COUNT, false, |context, args| {
            characters(context, args, &[UPPER, LOWER, DIGITS])
        }),
        native("randAlpha", COUNT, false, |context, args| characters(context, args, &[UPPER, LOWER])),
        native("randNumeric", COUNT, false, |context, args| characters(context, args, &[DIGITS])),
        native("randAscii", COUNT, false, |context, args| {
            let printable: std::string::String = (' '..='~').collect();
            characters(context, args, &[&printable])
        }),
        native("randInt", &[Int, Int], false, rand_int),
        native("randBytes", COUNT, false, |context, args| {
            use base64::Engine as _;
            let mut bytes = vec![0; length(args)?];
            context.host().random(&mut bytes);
            Ok(Value::from(base64::engine::general_purpose::STANDARD.encode(bytes)))
        }),
        native("shuffle", &[String], false, shuffle),
        native("uuidv4", &[], false, |context, _| Ok(Value::from(uuid(context.host())))),
    ]
}

fn length(args: &[Value]) -> Result<usize, FuncError> {
    match int(args, 0) {
        count @ 0..=MAX_LENGTH => Ok(count as usize),
        count if count < 0 => Err("runtime error: makeslice: len out of range".into()),
        _ => Err(FuncError::limit(format!("more than {MAX_LENGTH} random bytes are too many"))),
    }
}

/// A number below `limit`, every one as likely as the others.
pub(super) fn below(host: &dyn Host, limit: u64) -> u64 {
    if limit == 0 {
        return 0;
    }
    let fair = u64::MAX - u64::MAX % limit;
    loop {
        let mut bytes = [0; 8];
        host.random(&mut bytes);
        let number = u64::from_le_bytes(bytes);
        if number < fair {
            return number % limit;
        }
    }
}

fn characters(context: &mut Context<'_, '_>, args: &[Value], sets: &[&str]) -> Res {
    // A negative count gives an empty string: sprig ignores the error.
    if int(args, 0) < 0 {
        return Ok(Value::from(""));
    }
    let set: Vec<u8> = sets.iter().flat_map(|set| set.bytes()).collect();
    let host = context.host();
    let pick = |_| set.get(below(host, set.len() as u64) as usize).copied().unwrap_or(b'0');
    Ok(Value::str((0..length(args)?).map(pick).collect::<Vec<u8>>()))
}

fn rand_int(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let (low, high) = (int(args, 0), int(args, 1));
    match high.checked_sub(low) {
        Some(width) if width > 0 => Ok(Value::int(low + below(context.host(), width as u64) as i64)),
        _ => Err("invalid argument to Intn".into()),
    }
}

fn shuffle(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let mut chars: Vec<char> = text(args, 0).chars().collect();
    for at in (1..chars.len()).rev() {
        chars.swap(at, below(context.host(), at as u64 + 1) as usize);
    }
    Ok(Value::from(chars.into_iter().collect::<String>()))
}

/// A random UUID.
fn uuid(host: &dyn Host) -> String {
    let mut bytes = [0u8; 16];
    host.random(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
