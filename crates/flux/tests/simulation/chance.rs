//! Numbers that follow from a seed.

/// A source of numbers; the same seed gives the same ones.
#[derive(Debug, Clone)]
pub struct Chance {
    /// Where it began.
    pub seed: u64,
    state: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { seed, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0 }
    }

    /// Any number (the SplitMix64 sequence).
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in so many of a thousand cases.
    pub fn happens(&mut self, in_a_thousand: u64) -> bool {
        self.below(1000) < in_a_thousand
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// A sequence of its own that follows from this one.
    pub fn branch(&mut self) -> Chance {
        Chance { seed: self.seed, state: self.next() }
    }
}
