//! RSA keys out of the host's random bytes, so that a render can be repeated.

use num_bigint::BigUint;

use super::der;
use crate::env::Host;

const EXPONENT: u32 = 65537;
/// Rounds of the primality test with a random base, after the one with the base 2. For random candidates of 1,024
/// bits and more, fewer than FIPS 186-5 asks for already leave an error below 2^-112.
const ROUNDS: usize = 5;
/// How many odd numbers are looked at from a random one on. Of primes of 2,048 bits they hold 23 on average.
const WINDOW: usize = 1 << 14;
/// Primes below this sort out candidates: more of them cost more than the tests that they spare.
const SIEVE: usize = 1 << 17;

/// Where a search for a prime begins, and the bases that confirm what it finds. All randomness is drawn before the
/// searches run side by side, so that a key depends on the host's bytes alone.
struct Draw {
    start: BigUint,
    bases: Vec<BigUint>,
}

impl Draw {
    fn new(host: &dyn Host, bits: u64) -> Draw {
        let random = || {
            let mut bytes = vec![0; (bits / 8) as usize];
            host.random(&mut bytes);
            BigUint::from_bytes_be(&bytes)
        };
        let mut start = random();
        // Both top bits, so that the product has its full length; odd.
        start.set_bit(bits - 1, true);
        start.set_bit(bits - 2, true);
        start.set_bit(0, true);
        Draw { start, bases: (0..ROUNDS).map(|_| random()).collect() }
    }

    /// The first prime of the window that may be a factor for [`EXPONENT`]; `None` when it holds none.
    fn prime(&self, sieve: &[u32]) -> Option<BigUint> {
        let bits = self.start.bits();
        let odd = candidates(&self.start, sieve);
        let mut found = odd.map(|offset| &self.start + offset);
        found.find(|candidate| candidate.bits() == bits && self.confirms(candidate))
    }

    fn confirms(&self, candidate: &BigUint) -> bool {
        let span = candidate - BigUint::from(3u32);
        let random = self.bases.iter().map(|base| base % &span + BigUint::from(2u32));
        std::iter::once(BigUint::from(2u32)).chain(random).all(|base| passes(candidate, &base))
    }
}

/// The odd primes below [`SIEVE`].
fn small_primes() -> Vec<u32> {
    let mut composite = vec![false; SIEVE];
    let mut primes = Vec::new();
    for number in (3..SIEVE).step_by(2) {
        if composite.get(number).is_some_and(|composite| !composite) {
            primes.push(number as u32);
            let multiples = (number * number..SIEVE).step_by(2 * number);
            multiples
                .for_each(|multiple| composite.get_mut(multiple).into_iter().for_each(|mark| *mark = true));
        }
    }
    primes
}

/// How far the numbers of the window are from `start` that no small prime divides, and that are not one more than a
/// multiple of the exponent.
fn candidates(start: &BigUint, sieve: &[u32]) -> impl Iterator<Item = u32> {
    let mut struck = vec![false; WINDOW];
    let digits = start.to_u32_digits();
    let mut strike = |prime: u32, residue: u64| {
        let modulus = u64::from(prime);
        let rest = digits.iter().rev().fold(0, |rest, digit| (rest << 32 | u64::from(*digit)) % modulus);
        // How many steps of two lead from the start to this residue.
        let distance = (residue + modulus - rest) % modulus;
        let steps = if distance.is_multiple_of(2) { distance / 2 } else { (distance + modulus) / 2 };
        struck.iter_mut().skip(steps as usize).step_by(prime as usize).for_each(|mark| *mark = true);
    };
    sieve.iter().for_each(|prime| strike(*prime, 0));
    strike(EXPONENT, 1);
    struck.into_iter().zip(0u32..).filter(|(struck, _)| !struck).map(|(_, steps)| steps * 2)
}

/// One round of the test of Miller and Rabin.
fn passes(candidate: &BigUint, base: &BigUint) -> bool {
    let one = BigUint::from(1u32);
    let minus_one = candidate - &one;
    let twos = minus_one.trailing_zeros().unwrap_or(0);
    let mut power = base.modpow(&(&minus_one >> twos), candidate);
    if power == one {
        return true;
    }
    for _ in 1..twos {
        if power == minus_one {
            break;
        }
        power = &power * &power % candidate;
    }
    power == minus_one
}

/// Two primes that are not the same, the larger one first. They are looked for side by side.
fn primes(host: &dyn Host, bits: u64) -> (BigUint, BigUint) {
    let sieve = small_primes();
    loop {
        let (one, two) = (Draw::new(host, bits), Draw::new(host, bits));
        let (p, q) = std::thread::scope(|scope| {
            let other = scope.spawn(|| two.prime(&sieve));
            let p = one.prime(&sieve);
            (p, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        match (p, q) {
            (Some(p), Some(q)) if p != q => return if p > q { (p, q) } else { (q, p) },
            _ => {}
        }
    }
}

/// A new private key in PKCS #1.
pub(super) fn generate(host: &dyn Host, bits: u64) -> Option<Vec<u8>> {
    let one = BigUint::from(1u32);
    let exponent = BigUint::from(EXPONENT);
    let (p, q) = primes(host, bits / 2);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that depend on how many were drawn.
    struct Counting(std::cell::Cell<u64>);

    impl Host for Counting {
        fn random(&self, buffer: &mut [u8]) {
            for byte in buffer {
                // Knuth's generator: all that matters is that it repeats.
                self.0.set(
                    self.0
                        .get()
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407),
                );
                *byte = (self.0.get() >> 56) as u8;
            }
        }

        fn now(&self) -> (i64, u32) {
            (0, 0)
        }
    }

    #[test]
    fn a_key_is_sound_and_depends_on_the_hosts_bytes_alone() {
        let key = |seed: u64| generate(&Counting(seed.into()), 2048).expect("a key");
        let first = key(1);
        aws_lc_rs::rsa::KeyPair::from_der(&first).expect("sound");
        assert_eq!(first, key(1));
        assert_ne!(first, key(2));
    }

    #[test]
    fn what_the_sieve_leaves_is_what_no_small_prime_divides() {
        let start = BigUint::from(10_000_000_019u64);
        let sieve = [3, 5, 7, 11];
        let left: Vec<u32> = candidates(&start, &sieve).take(200).collect();
        let free = |offset: &u32| {
            let number = 10_000_000_019u64 + u64::from(*offset);
            sieve.iter().all(|prime| !number.is_multiple_of(u64::from(*prime)))
                && number % u64::from(EXPONENT) != 1
        };
        let expected: Vec<u32> = (0..).step_by(2).filter(free).take(200).collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn composites_do_not_pass() {
        for (number, prime) in
            [(65_537u32, true), (2_147_483_647, true), (3_215_031_751, false), (561, false), (25, false)]
        {
            let bases = [2u32, 3, 5, 7, 11];
            let passed = bases.iter().all(|base| passes(&BigUint::from(number), &BigUint::from(*base)));
            assert_eq!(passed, prime, "{number}");
        }
    }
}
