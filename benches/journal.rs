//! The journal's engine: what a durable record of 2 KiB costs, alone and in a group of 64, in a segment of ours, in a file
//! that grows, and in `fjall`. The figures stand in `docs/decisions/journal-engine.md`.
//!
//! They depend on the disk that `target` lies on more than on anything else: check that its sync is a sync.

use std::{fs::File, io::Write, path::Path};

use divan::{Bencher, counter::ItemsCount};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use loket::journal::{frame::BLOCK, segment::Segment};

const RECORD: usize = 2048;
const GROUPS: [usize; 2] = [1, 64];

fn main() {
    divan::main();
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk of `target`")
}

/// Bytes that do not compress.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn segment(folder: &Path, number: usize) -> Segment {
    let path = folder.join(number.to_string());
    Segment::create(&path, &[0; BLOCK], 32 << 20).expect("the disk has room")
}

#[divan::bench(args = GROUPS, sample_count = 200, sample_size = 10)]
fn own_segment(bencher: Bencher<'_, '_>, group: usize) {
    let (folder, records) = (folder(), bytes(group * RECORD));
    let mut number = 0;
    let mut open = segment(folder.path(), number);
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        if open.room() < records.len() as u64 {
            // A new segment is a part of the cost.
            number += 1;
            open = segment(folder.path(), number);
        }
        open.append(&records).expect("written");
    });
}

#[divan::bench(args = GROUPS, sample_count = 200, sample_size = 10)]
fn growing_file(bencher: Bencher<'_, '_>, group: usize) {
    let (folder, records) = (folder(), bytes(group * RECORD));
    let mut file = File::create(folder.path().join("file")).expect("made");
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        file.write_all(&records).expect("written");
        file.sync_data().expect("synced");
    });
}

#[divan::bench(args = GROUPS, sample_count = 200, sample_size = 10)]
fn fjall(bencher: Bencher<'_, '_>, group: usize) {
    let (folder, record) = (folder(), bytes(RECORD));
    let database = Database::builder(folder.path()).open().expect("opens");
    let receipts = database.keyspace("receipts", KeyspaceCreateOptions::default).expect("opens");
    let mut sequence = 0_u64;
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        let mut batch = database.batch();
        for _ in 0..group {
            sequence += 1;
            batch.insert(&receipts, sequence.to_be_bytes(), record.as_slice());
        }
        batch.commit().expect("written");
        database.persist(PersistMode::SyncData).expect("synced");
    });
}
