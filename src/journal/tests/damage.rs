//! Torn tails and flipped bits.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

/// Which sample receipts these are; each must be as it was.
fn numbers(out: &[Journalled]) -> Vec<u64> {
    let numbers: Vec<u64> = out.iter().map(|it| (it.receipt().received_at.as_second() - BEGIN) as u64).collect();
    for (number, journalled) in numbers.iter().zip(out) {
        assert_eq!(*journalled.receipt(), receipt(*number, format!("body {number}").as_bytes()));
    }
    numbers
}

/// A journal of two runs with ten receipts: one of its segments.
struct Image {
    place: Place,
    segment: std::path::PathBuf,
    bytes: Vec<u8>,
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// `which`: 0 is the first segment (receipts 1 to 5), 1 the last (6 to 10).
fn image(which: usize) -> Image {
    let place = Place::new();
    run(async {
        for numbers in [1..=5, 6..=10] {
            let (journal, _tail) = place.open();
            append_all(&journal, numbers).await;
        }
    });
    let segment = place.segments()[which].clone();
    let bytes = fs::read(&segment).expect("readable");
    Image { place, segment, bytes }
}

impl Image {
    /// The last segment has these bytes and mode 0600; what was appended at another time is gone.
    fn put(&self, bytes: &[u8]) {
        for path in self.place.segments() {
            if path > self.segment {
                fs::remove_file(path).expect("of the time before");
            }
        }
        fs::write(&self.segment, bytes).expect("written");
        fs::set_permissions(&self.segment, fs::Permissions::from_mode(0o600)).expect("ours");
    }

    /// What is read when the segment has these bytes.
    fn read_with(&self, bytes: &[u8]) -> Vec<u64> {
        self.put(bytes);
        run(async {
            let (journal, mut tail) = self.place.open();
            numbers(&rest(&journal, &mut tail).await)
        })
    }

    /// The same, and that an append after it survives.
    fn with(&self, bytes: &[u8]) -> Vec<u64> {
        self.put(bytes);
        run(async {
            let (journal, mut tail) = self.place.open();
            append_all(&journal, 77..=77).await;
            let mut out = rest(&journal, &mut tail).await;
            let added = out.pop().expect("what was appended after the damage is read");
            assert_eq!(added.receipt().id, receipt(77, b"").id);
            numbers(&out)
        })
    }

    /// Where each record begins, and the end.
    fn places(&self) -> Vec<usize> {
        let magic = super::super::frame::MAGIC;
        let begins = self.bytes.windows(4).enumerate().filter(|(_, window)| *window == magic).map(|(place, _)| place);
        begins.chain([self.bytes.len()]).collect()
    }
}

#[test]
fn a_journal_that_is_cut_at_any_byte_has_every_record_before_the_cut() {
    let image = image(1);
    let places = image.places();
    assert_eq!(places.len(), 6);
    for cut in 0..image.bytes.len() {
        let whole = places.iter().skip(1).filter(|end| **end <= cut).count() as u64;
        let expected: Vec<u64> = (1..=5 + whole).collect();
        assert_eq!(image.read_with(&image.bytes[..cut]), expected, "cut at {cut}");
        // Appending syncs, so it is tried at some of them.
        if cut % 61 == 0 {
            assert_eq!(image.with(&image.bytes[..cut]), expected, "cut at {cut}");
        }
    }
}

#[test]
fn a_last_record_of_zeros_is_a_torn_tail() {
    let image = image(1);
    let places = image.places();
    let mut bytes = image.bytes.clone();
    bytes[places[4]..].fill(0);
    assert_eq!(image.with(&bytes), (1..=9).collect::<Vec<_>>());
}

#[test]
fn a_segment_without_its_head_costs_its_own_receipts_only() {
    let first = image(0);
    let mut bytes = first.bytes.clone();
    bytes[..1024].fill(0xEE);
    // The second segment has to stay.
    fs::write(&first.segment, &bytes).expect("written");
    run(async {
        let (journal, mut tail) = first.place.open();
        assert_eq!(sequences(&rest(&journal, &mut tail).await), (6..=10).collect::<Vec<_>>());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_costs_one_record_at_most(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let image = image(1);
        let at = at.index(image.bytes.len());
        let mut bytes = image.bytes.clone();
        bytes[at] ^= 1 << bit;
        let lost = image.places().iter().rposition(|begin| *begin <= at).map(|place| 6 + place as u64);
        let expected: Vec<u64> = (1..=10).filter(|number| Some(*number) != lost).collect();
        prop_assert_eq!(image.with(&bytes), expected);
    }

    #[test]
    fn garbage_is_never_a_receipt(garbage in proptest::collection::vec(any::<u8>(), 0..3000), from in 0..400usize) {
        let image = image(1);
        let from = from.min(image.bytes.len());
        let mut bytes = image.bytes[..from].to_vec();
        bytes.extend_from_slice(&garbage);
        prop_assert_eq!(image.with(&bytes), (1..=5).collect::<Vec<_>>());
    }
}

#[test]
fn a_record_in_the_body_of_a_citizen_is_no_record() {
    let place = Place::new();
    run(async {
        let (journal, _tail) = place.open();
        append_all(&journal, 1..=1).await;
    });
    // A whole record of another file, with good checksums, as somebody could send it who knows the format.
    let bytes = fs::read(&place.segments()[0]).expect("readable");
    let other = Place::new();
    run(async {
        let (journal, _tail) = other.open();
        append(&journal, receipt(2, &bytes[1024..])).await.expect("appended");
        append_all(&journal, 3..=3).await;
    });
    let segment = other.segments()[0].clone();
    let mut bytes = fs::read(&segment).expect("readable");
    bytes[1024] ^= 1;
    fs::write(&segment, bytes).expect("written");
    run(async {
        let (journal, mut tail) = other.open();
        assert_eq!(receipts(rest(&journal, &mut tail).await), [receipt(3, b"body 3")]);
    });
}

#[test]
fn a_lost_checkpoint_repeats_and_loses_nothing() {
    let image = image(1);
    fs::remove_file(image.place.path().join("checkpoint")).expect("gone");
    assert_eq!(image.with(&image.bytes), (1..=10).collect::<Vec<_>>());
}

#[test]
fn g2_what_a_killed_process_leaves_has_every_receipt_that_was_accepted() {
    let (place, killed) = (Place::new(), Place::new());
    run(async {
        let (journal, _tail) = place.open();
        append_all(&journal, 1..=6).await;
        // Nobody says goodbye to these files: the segment is preallocated, with zeros behind its last record.
        for folder in ["journal", "journal/bodies", "journal/quarantine"] {
            std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700)
                .create(killed.0.path().join(folder))
                .expect("made");
            for file in files(&place.0.path().join(folder)) {
                let copy = killed.0.path().join(folder).join(file.file_name().expect("a name"));
                fs::copy(&file, copy).expect("copied");
            }
        }
        assert!(fs::metadata(&killed.segments()[0]).expect("there").len() > 100 << 10);
        let (journal, mut tail) = killed.open();
        append_all(&journal, 7..=8).await;
        assert_eq!(numbers(&rest(&journal, &mut tail).await), (1..=8).collect::<Vec<_>>());
    });
}

#[test]
fn a_segment_that_the_disk_does_not_give_is_stepped_over_after_some_tries() {
    let place = Place::new();
    run(async {
        for numbers in [1..=5, 6..=10] {
            let (journal, _tail) = place.open();
            append_all(&journal, numbers).await;
        }
        let (journal, mut tail) = place.open();
        // A folder opens and cannot be read.
        let segment = place.segments()[0].clone();
        fs::remove_file(&segment).expect("gone");
        fs::create_dir(&segment).expect("made");
        for turn in 0..5 {
            let error = tail.next(7).await.expect_err("it cannot be read");
            assert!(matches!(error, JournalError::Failed(_)), "turn {turn}: {error}");
        }
        assert_eq!(numbers(&drain(&mut tail).await), (6..=10).collect::<Vec<_>>());
        drop(journal);
    });
}
