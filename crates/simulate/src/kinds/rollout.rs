//! The arithmetic of rolling updates, without the cluster.

/// What one ReplicaSet counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// Wanted pods.
    pub(crate) wanted: i64,
    /// Available pods.
    pub(crate) available: i64,
}

/// How far a rolling update may go at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) desired: i64,
    pub(crate) surge: i64,
    pub(crate) unavailable: i64,
}

impl Bounds {
    /// Neither bound may keep the update from ever moving.
    pub(crate) fn new(desired: i64, surge: i64, unavailable: i64) -> Self {
        let unavailable =
            if surge <= 0 && unavailable <= 0 { 1 } else { unavailable.clamp(0, desired.max(0)) };
        Bounds { desired, surge: surge.max(0), unavailable }
    }

    /// The size that the new ReplicaSet may have now.
    pub(crate) fn new_size(&self, new: i64, all: i64) -> i64 {
        if new >= self.desired {
            return self.desired;
        }
        let room = (self.desired + self.surge - all).max(0);
        new + room.min(self.desired - new)
    }

    /// The sizes that the old ReplicaSets (oldest first) may shrink to now: broken pods first, then as many as
    /// the new ones replace.
    pub(crate) fn old_sizes(&self, new: Count, old: &[Count]) -> Vec<i64> {
        let mut sizes: Vec<i64> = old.iter().map(|count| count.wanted).collect();
        let minimum = self.desired - self.unavailable;
        let all = new.wanted + sizes.iter().sum::<i64>();
        let mut room = all - minimum - (new.wanted - new.available);
        if room <= 0 {
            return sizes;
        }
        for (size, count) in sizes.iter_mut().zip(old) {
            let broken = (*size - count.available).clamp(0, room);
            *size -= broken;
            room -= broken;
        }
        let available = new.available + old.iter().map(|count| count.available).sum::<i64>();
        let mut spare = (available - minimum).max(0);
        for size in &mut sizes {
            let goes = (*size).min(spare);
            *size -= goes;
            spare -= goes;
        }
        sizes
    }
}

/// Spreads a new total over ReplicaSets in proportion to their sizes; rounding goes to the first.
pub(crate) fn spread(total: i64, sizes: &[i64]) -> Vec<i64> {
    let sum: i64 = sizes.iter().sum();
    if sum <= 0 {
        return sizes.to_vec();
    }
    let mut spread: Vec<i64> = sizes.iter().map(|size| size.saturating_mul(total) / sum).collect();
    let rest = total - spread.iter().sum::<i64>();
    if let Some(first) = spread.first_mut() {
        *first += rest;
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let bounds = Bounds::new(4, 1, 1);
        assert_eq!(bounds.new_size(0, 4), 1);
        assert_eq!(bounds.new_size(1, 4), 2);
        assert_eq!(bounds.new_size(4, 9), 4);
        let count = |wanted, available| Count { wanted, available };
        assert_eq!(bounds.old_sizes(count(1, 0), &[count(4, 4)]), [3]);
        assert_eq!(bounds.old_sizes(count(2, 2), &[count(3, 3)]), [1]);
        assert_eq!(bounds.old_sizes(count(0, 0), &[count(4, 1)]), [3]);
        assert_eq!(bounds.old_sizes(count(4, 4), &[count(1, 1), count(1, 1)]), [0, 0]);
        assert_eq!(Bounds::new(1, 0, 0).unavailable, 1);
        assert_eq!(spread(10, &[3, 1]), [8, 2]);
        assert_eq!(spread(10, &[0, 0]), [0, 0]);
    }

    #[test]
    fn every_rollout_ends_and_keeps_its_promise() {
        for desired in 1..8 {
            for surge in 0..3 {
                for unavailable in 0..3 {
                    let bounds = Bounds::new(desired, surge, unavailable);
                    let (mut new, mut old) = (0, desired);
                    for _ in 0..50 {
                        new = bounds.new_size(new, new + old);
                        // Everything becomes available between two steps.
                        let count = |wanted| Count { wanted, available: wanted };
                        old = bounds.old_sizes(count(new), &[count(old)]).first().copied().unwrap_or(0);
                        assert!(
                            new + old >= desired - bounds.unavailable && new + old <= desired + bounds.surge
                        );
                    }
                    assert_eq!((new, old), (desired, 0), "{bounds:?}");
                }
            }
        }
    }
}
