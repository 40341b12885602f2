//! Which letters the server has trouble with, and how many are asked for at once. Pure; in memory only.

use std::collections::BTreeMap;

use super::{
    commands::{Extent, MOST_BYTES},
    folder::CHUNK,
};

/// Bytes of letters that are fetched with one command.
const BATCH_BYTES: u64 = 8 << 20;
/// A letter that was tried so often in vain is passed over.
const TRIES: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Tries in vain, by UID; of one letter at a time, so that it stays small.
    tries: BTreeMap<u32, u32>,
    /// Up to this UID letters are asked for one by one, as one among them ended the connection.
    careful_until: u32,
}

impl Progress {
    /// How many of the first letters are asked for with one command, and how much of each. At least one.
    pub fn batch(&self, uids: &[u32], sizes: &BTreeMap<u32, u32>) -> (usize, Extent) {
        // A letter whose size is not told may be of any.
        let size = |uid: &u32| u64::from(sizes.get(uid).copied().unwrap_or(u32::MAX));
        let Some(first) = uids.first() else { return (0, Extent::Whole) };
        if size(first) > u64::from(MOST_BYTES) {
            return (1, Extent::Beginning);
        }
        let mut bytes = size(first);
        let more = uids[1..].iter().take(CHUNK - 1).take_while(|uid| {
            bytes += size(uid);
            **uid > self.careful_until && bytes <= BATCH_BYTES
        });
        if *first <= self.careful_until { (1, Extent::Whole) } else { (1 + more.count(), Extent::Whole) }
    }

    /// The connection ended while these were asked for.
    pub fn broke(&mut self, uids: &[u32]) {
        match uids {
            [uid] => self.tried(*uid),
            [.., last] => self.careful_until = self.careful_until.max(*last),
            [] => {}
        }
    }

    /// The server did not give it.
    pub fn tried(&mut self, uid: u32) {
        *self.tries.entry(uid).or_default() += 1;
    }

    pub fn is_hopeless(&self, uid: u32) -> bool {
        self.tries.get(&uid).is_some_and(|tries| *tries >= TRIES)
    }

    /// These are done with, one way or the other.
    pub fn settled(&mut self, through: u32) {
        self.tries.retain(|uid, _| *uid > through);
    }

    /// The folder is read from its beginning.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(progress: &Progress, sizes: &[(u32, u32)]) -> (usize, Extent) {
        let uids: Vec<u32> = sizes.iter().map(|(uid, _)| *uid).collect();
        progress.batch(&uids, &sizes.iter().copied().filter(|(_, size)| *size > 0).collect())
    }

    #[test]
    fn a_batch_has_a_bound_in_letters_and_in_bytes() {
        let progress = Progress::default();
        let small: Vec<(u32, u32)> = (1..=300).map(|uid| (uid, 2000)).collect();
        assert_eq!(batch(&progress, &small), (100, Extent::Whole));
        assert_eq!(batch(&progress, &[(1, 5 << 20), (2, 3 << 20), (3, 1)]), (2, Extent::Whole));
        assert_eq!(batch(&progress, &[(1, 32 << 20), (2, 1)]), (1, Extent::Whole));
        assert_eq!(batch(&progress, &[(1, (32 << 20) + 1), (2, 1)]), (1, Extent::Beginning));
        assert_eq!(batch(&progress, &[(1, 0), (2, 1)]), (1, Extent::Beginning), "of unknown size");
        assert_eq!(batch(&progress, &[(1, 1), (2, 0)]), (1, Extent::Whole));
        assert_eq!(batch(&progress, &[]), (0, Extent::Whole));
    }

    #[test]
    fn a_letter_that_ends_connections_is_found_and_passed_over() {
        let mut progress = Progress::default();
        progress.broke(&[1, 2, 3]);
        assert_eq!(batch(&progress, &[(1, 1), (2, 1), (3, 1), (4, 1)]), (1, Extent::Whole));
        assert_eq!(batch(&progress, &[(4, 1), (5, 1)]), (2, Extent::Whole));
        for _ in 0..3 {
            assert!(!progress.is_hopeless(2));
            progress.broke(&[2]);
        }
        assert!(progress.is_hopeless(2) && !progress.is_hopeless(3));
        progress.settled(2);
        assert!(!progress.is_hopeless(2));
    }
}
