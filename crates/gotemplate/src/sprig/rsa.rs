//! RSA keys out of the host's random bytes, so that a render can be repeated.

use num_bigint::BigUint;

use super::der;
use crate::env::Host;

const EXPONENT: u32 = 65537;
/// Rounds of the primality test: for random candidates of this size far more than enough.
const ROUNDS: usize = 8;

fn random(host: &dyn Host, bits: u64) -> BigUint {
    let mut bytes = vec![0; (bits / 8) as usize];
    host.random(&mut bytes);
    BigUint::from_bytes_be(&bytes)
}

/// The primes below a few thousand, to sort out most candidates cheaply.
fn small_primes() -> Vec<u32> {
    let mut primes: Vec<u32> = Vec::new();
    for candidate in (3..4000).step_by(2) {
        if primes.iter().all(|prime| candidate % prime != 0) {
            primes.push(candidate);
        }
    }
    primes
}

fn is_prime(candidate: &BigUint, host: &dyn Host) -> bool {
    let one = BigUint::from(1u32);
    let minus_one = candidate - &one;
    let twos = minus_one.trailing_zeros().unwrap_or(0);
    let odd = &minus_one >> twos;
    for _ in 0..ROUNDS {
        let base = random(host, candidate.bits()) % (candidate - BigUint::from(3u32)) + BigUint::from(2u32);
        let mut power = base.modpow(&odd, candidate);
        if power == one || power == minus_one {
            continue;
        }
        let mut passed = false;
        for _ in 1..twos {
            power = &power * &power % candidate;
            if power == minus_one {
                passed = true;
                break;
            }
        }
        if !passed {
            return false;
        }
    }
    true
}

fn prime(host: &dyn Host, bits: u64, sieve: &[u32]) -> BigUint {
    loop {
        let mut candidate = random(host, bits);
        // Both top bits, so that the product has its full length; odd.
        candidate.set_bit(bits - 1, true);
        candidate.set_bit(bits - 2, true);
        candidate.set_bit(0, true);
        let coprime = &candidate % EXPONENT != BigUint::from(1u32);
        let unsieved = sieve.iter().all(|prime| (&candidate % *prime) != BigUint::ZERO);
        if coprime && unsieved && is_prime(&candidate, host) {
            return candidate;
        }
    }
}

/// A new private key in PKCS #1.
pub(super) fn generate(host: &dyn Host, bits: u64) -> Option<Vec<u8>> {
    let sieve = small_primes();
    let one = BigUint::from(1u32);
    let exponent = BigUint::from(EXPONENT);
    let (mut p, mut q) = (prime(host, bits / 2, &sieve), prime(host, bits / 2, &sieve));
    while p == q {
        q = prime(host, bits / 2, &sieve);
    }
    if p < q {
        std::mem::swap(&mut p, &mut q);
    }
    let (p1, q1) = (&p - &one, &q - &one);
    let d = exponent.modinv(&(&p1 * &q1))?;
    let numbers = [
        BigUint::ZERO,
        &p * &q,
        exponent,
        d.clone(),
        p.clone(),
        q.clone(),
        &d % &p1,
        &d % &q1,
        q.modinv(&p)?,
    ];
    let body: Vec<u8> = numbers.iter().flat_map(|number| der::unsigned(&number.to_bytes_be())).collect();
    Some(der::element(der::SEQUENCE, &body))
}
