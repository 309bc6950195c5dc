//! A set of page frames, of which most are near each other.

use std::collections::BTreeMap;

/// Frames of one chunk: 2^15, one bit each, which is a base page of 4096 bytes and 128 MiB of memory.
const CHUNK: u32 = 15;
const WORDS: usize = 1 << (CHUNK - u64::BITS.trailing_zeros());

/// A sparse bitmap: 4 KiB of it stand for 128 MiB of memory in which a frame is in the set.
#[derive(Default)]
pub struct Frames(BTreeMap<u64, Box<[u64; WORDS]>>);

impl Frames {
    /// Adds a frame; whether it is new.
    pub fn insert(&mut self, frame: u64) -> bool {
        let chunk = self.0.entry(frame >> CHUNK);
        let words = chunk.or_insert_with(|| Box::new([0; WORDS]));
        let (word, bit) = Self::place(frame);
        let new = words[word] & bit == 0;
        words[word] |= bit;
        new
    }

    /// Whether a frame is in the set.
    #[must_use]
    pub fn contains(&self, frame: u64) -> bool {
        let (word, bit) = Self::place(frame);
        self.0
            .get(&(frame >> CHUNK))
            .is_some_and(|words| words[word] & bit != 0)
    }

    /// All frames, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(chunk, words)| {
            let words = (0u64..).zip(words.iter()).filter(|(_, word)| **word != 0);
            words.flat_map(move |(n, word)| {
                let set = (0..u64::from(u64::BITS)).filter(move |bit| word >> bit & 1 == 1);
                set.map(move |bit| chunk << CHUNK | n << u64::BITS.trailing_zeros() | bit)
            })
        })
    }

    fn place(frame: u64) -> (usize, u64) {
        let inside = frame & ((1 << CHUNK) - 1);
        let word = usize::try_from(inside / u64::from(u64::BITS)).unwrap_or_default();
        (word, 1 << (inside % u64::from(u64::BITS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_there_once_and_in_order() {
        let mut frames = Frames::default();
        let put = [u64::MAX >> 12, 0, 63, 64, 32767, 32768, 5 << 30];
        for frame in put {
            assert!(!frames.contains(frame));
            assert!(frames.insert(frame));
            assert!(!frames.insert(frame));
            assert!(frames.contains(frame));
        }
        let mut sorted = put;
        sorted.sort_unstable();
        assert_eq!(frames.iter().collect::<Vec<_>>(), sorted);
        assert!(!frames.contains(1));
    }
}
