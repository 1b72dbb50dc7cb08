//! Shares of a data key put together again: Shamir's scheme over GF(2⁸) with the polynomial of AES.

fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & (b >> bit & 1).wrapping_neg();
        a = (a << 1) ^ (0x1b & (a >> 7).wrapping_neg());
    }
    product
}

/// The 254th power: the group of units has 255 elements.
fn inverse(a: u8) -> u8 {
    (0..254).fold(1, |power, _| multiply(power, a))
}

/// The secret of shares `y₁ … yₙ x`.
pub(crate) fn combine(shares: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let Some(length) = shares.first().map(Vec::len).filter(|length| *length > 1 && shares.len() > 1) else {
        return Err("two shares or more of the data key are needed".into());
    };
    let mut points = Vec::new();
    for share in shares {
        match share.split_last() {
            Some((x, ys)) if share.len() == length && *x != 0 => points.push((*x, ys)),
            _ => return Err("the shares of the data key do not fit together".into()),
        }
    }
    let mut weights = Vec::new();
    for (i, (own, _)) in points.iter().enumerate() {
        let mut weight = 1;
        for (j, (other, _)) in points.iter().enumerate() {
            if i == j {
                continue;
            }
            if own == other {
                return Err("two shares of the data key are the same".into());
            }
            weight = multiply(weight, multiply(*other, inverse(own ^ other)));
        }
        weights.push(weight);
    }
    let byte = |at: usize| {
        points.iter().zip(&weights).fold(0, |sum, ((_, ys), weight)| {
            sum ^ multiply(ys.get(at).copied().unwrap_or_default(), *weight)
        })
    };
    Ok((0..length - 1).map(byte).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_line() {
        // s + a·x for a secret of two bytes.
        let (secret, slope) = ([7_u8, 250], [99_u8, 3]);
        let share = |x: u8| vec![secret[0] ^ multiply(slope[0], x), secret[1] ^ multiply(slope[1], x), x];
        assert_eq!(combine(&[share(5), share(200)]), Ok(secret.to_vec()));
        assert!(combine(&[share(5), share(5)]).is_err());
        assert!(combine(&[share(5)]).is_err());
    }
}
