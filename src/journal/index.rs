//! What is known of the segments without reading them. Small: a few numbers for each, and a mark about every 64 KiB, so
//! that one record can be found again without reading 32 MiB.

use std::collections::VecDeque;

use super::frame::{BLOCK, Frame};

/// Least distance of two marks, bytes.
const MARK_DISTANCE: u64 = 64 << 10;

/// One segment.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// First sequence number. Records of the segment before that have this number or a higher one were refused; they
    /// are none.
    pub first: u64,
    /// Records end here.
    pub end: u64,
    /// Bytes on the disk.
    pub size: u64,
    /// Least and greatest `received_at`, microseconds; None: unknown, as it was written by an earlier run.
    pub received: Option<(i64, i64)>,
    /// Has it records with bodies outside? None: unknown.
    pub has_bodies: Option<bool>,
    /// Is it being written?
    pub open: bool,
    /// (sequence, place), ascending.
    marks: Vec<(u64, u64)>,
}

/// Where to look for a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub first: u64,
    /// A record begins here, at or before the one that is looked for.
    pub from: u64,
    pub end: u64,
    /// First number of the segment behind.
    pub next: Option<u64>,
}

impl Entry {
    /// A segment that is about to be written.
    pub fn new(first: u64, size: u64) -> Self {
        Self { first, end: BLOCK as u64, size, received: None, has_bodies: Some(false), open: true, marks: Vec::new() }
    }

    /// A segment of an earlier run.
    pub fn found(first: u64, size: u64) -> Self {
        Self { first, end: size, size, received: None, has_bodies: None, open: false, marks: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.end <= BLOCK as u64
    }

    /// Remembers a record that lies at this place.
    pub fn record(&mut self, frame: &Frame, at: u64) {
        let (least, greatest) = self.received.unwrap_or((frame.micros, frame.micros));
        self.received = Some((least.min(frame.micros), greatest.max(frame.micros)));
        if frame.body != 0 {
            self.has_bodies = Some(true);
        }
        self.mark(frame.sequence, at);
    }

    pub fn mark(&mut self, sequence: u64, at: u64) {
        if self.marks.last().is_none_or(|(last, place)| sequence > *last && at >= place + MARK_DISTANCE) {
            self.marks.push((sequence, at));
        }
    }
}

/// All segments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: VecDeque<Entry>,
}

impl Index {
    pub fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    pub fn first(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub fn last_mut(&mut self) -> Option<&mut Entry> {
        self.entries.back_mut()
    }

    pub fn pop_last(&mut self) -> Option<Entry> {
        self.entries.pop_back()
    }

    pub fn get_mut(&mut self, first: u64) -> Option<&mut Entry> {
        let place = self.entries.binary_search_by_key(&first, |entry| entry.first).ok()?;
        self.entries.get_mut(place)
    }

    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// The segment that has the number, or the first one behind it where that segment is gone.
    pub fn locate(&self, sequence: u64) -> Option<Place> {
        let behind = self.entries.partition_point(|entry| entry.first <= sequence);
        let place = behind.saturating_sub(1);
        let entry = self.entries.get(place)?;
        let mark = entry.marks.partition_point(|(marked, _)| *marked <= sequence).checked_sub(1);
        let from = mark.map_or(BLOCK as u64, |mark| entry.marks[mark].1);
        Some(Place {
            first: entry.first,
            from,
            end: entry.end,
            next: self.entries.get(place + 1).map(|entry| entry.first),
        })
    }

    /// Where each segment begins and ends, oldest first.
    pub fn places(&self) -> Vec<Place> {
        let next = self.entries.iter().skip(1).map(|entry| Some(entry.first)).chain([None]);
        let place = |(entry, next): (&Entry, _)| Place { first: entry.first, from: BLOCK as u64, end: entry.end, next };
        self.entries.iter().zip(next).map(place).collect()
    }

    /// The oldest segment, if it is not written any more and everything in it is settled. `durable` is the last number.
    pub fn oldest_settled(&self, settled: u64, durable: u64) -> Option<&Entry> {
        let entry = self.entries.front().filter(|entry| !entry.open)?;
        let last = self.entries.get(1).map_or(durable, |next| next.first.saturating_sub(1));
        (last <= settled).then_some(entry)
    }

    pub fn remove(&mut self, first: u64) -> Option<Entry> {
        let place = self.entries.binary_search_by_key(&first, |entry| entry.first).ok()?;
        self.entries.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for first in [5, 10, 20] {
            index.push(Entry::found(first, 1 << 20));
        }
        index
    }

    #[test]
    fn a_number_is_looked_for_in_the_segment_that_begins_at_or_before_it() {
        let mut index = index();
        let first = |index: &Index, sequence| index.locate(sequence).map(|place| place.first);
        assert_eq!([1, 5, 9, 10, 19, 99].map(|sequence| first(&index, sequence)), [5, 5, 5, 10, 10, 20].map(Some));
        let entry = index.get_mut(10).expect("it is there");
        entry.mark(10, 1024);
        entry.mark(12, 2048);
        entry.mark(15, 90_000);
        assert_eq!(index.locate(14).map(|place| place.from), Some(1024), "marks are not closer than 64 KiB");
        assert_eq!(index.locate(16).map(|place| (place.from, place.next)), Some((90_000, Some(20))));
    }

    #[test]
    fn a_segment_goes_when_all_of_it_is_settled() {
        let index = index();
        assert!(index.oldest_settled(8, 30).is_none());
        assert_eq!(index.oldest_settled(9, 30).map(|entry| entry.first), Some(5));
    }
}
