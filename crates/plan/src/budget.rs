//! How much one pass may delete without being told to.

/// A bound on deletions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// At most so many objects.
    pub count: usize,
    /// At most this share of the inventory, from 0 to 1, once the inventory is larger than `free`.
    pub share: f64,
    /// So few may always go.
    pub free: usize,
}

impl Default for Budget {
    /// Generous, but finite: no everyday change comes near it.
    fn default() -> Budget {
        Budget { count: 500, share: 1.0, free: 20 }
    }
}

/// A pass wants to delete more than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} of {total} objects would be deleted, which is more than the deletion budget of {allowed}; \
     nothing was deleted"
)]
pub struct Exceeded {
    /// How many would go.
    pub wanted: usize,
    /// Of how many.
    pub total: usize,
    /// How many may.
    pub allowed: usize,
}

impl Budget {
    /// May `wanted` of `total` objects go? `approved` is a number somebody has agreed to.
    pub fn check(&self, wanted: usize, total: usize, approved: Option<usize>) -> Result<(), Exceeded> {
        let share = (total as f64 * self.share.clamp(0.0, 1.0)).floor() as usize;
        let allowed = self.count.min(share.max(self.free)).max(approved.unwrap_or(0));
        if wanted <= allowed { Ok(()) } else { Err(Exceeded { wanted, total, allowed }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_inventories_are_free_and_approval_counts() {
        let budget = Budget { count: 100, share: 0.5, free: 10 };
        assert!(budget.check(10, 10, None).is_ok());
        assert!(budget.check(26, 50, None).is_err());
        assert!(budget.check(26, 50, Some(26)).is_ok());
        assert!(budget.check(101, 1000, None).is_err());
    }
}
