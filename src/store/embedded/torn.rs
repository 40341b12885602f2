//! Mends a database whose last writes a power cut has torn.
//!
//! The engine syncs its journal when somebody waits for it. When the power fails during a sync, some pages of what was
//! being synced are on disk and others are not, and a hole of zeros is left between them. The engine leaves out a write
//! whose end is missing, but refuses to open a journal with a hole inside a write. Nothing from the torn write on was
//! ever confirmed, so it is cut off, and the receipts that it came from are replayed. The torn bytes are kept beside.
//!
//! Damage of another kind is not mended here: it may concern what was confirmed, and a person has to look.

use std::{fs, io, path::Path};

use tracing::warn;

/// No smaller piece of a file is written by itself.
const SECTOR: usize = 512;
/// What ends a write in the journal: a mark, a checksum and these bytes.
const TRAILER: [u8; 4] = *b"FJL\x03";

/// Cuts the newest journal of the database in `folder` before a torn write. False when none is torn.
pub(super) fn mend(folder: &Path) -> io::Result<bool> {
    let mut newest = None;
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if path.extension().is_some_and(|extension| extension == "jnl") {
            newest = newest.max(number.map(|number| (number, path)));
        }
    }
    let Some((_, path)) = newest else { return Ok(false) };
    let content = fs::read(&path)?;
    let Some(torn) = torn_write(&content) else { return Ok(false) };
    let end = content.iter().rposition(|byte| *byte != 0).map_or(torn, |last| last + 1);
    fs::write(path.with_extension("torn"), &content[torn..end])?;
    let file = fs::File::options().write(true).open(&path)?;
    file.set_len(torn as u64)?;
    file.sync_all()?;
    warn!(bytes = end - torn, "the embedded store left out a write that a power cut had torn");
    Ok(true)
}

/// Where the first write begins that has a hole. What was reserved behind the last write is none.
fn torn_write(content: &[u8]) -> Option<usize> {
    let written = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut begin = 0;
    while begin < written {
        // Where the hole has taken the shape of the write, its end is not known.
        let length = write_length(&content[begin..]);
        let end = length.map_or(written, |length| begin + length);
        if has_hole(content, begin, end) {
            return Some(begin);
        }
        length?;
        begin = end;
    }
    None
}

/// Is a whole sector within the write zero? Nothing that the store writes is.
fn has_hole(content: &[u8], begin: usize, end: usize) -> bool {
    let sectors = begin.div_ceil(SECTOR)..end / SECTOR;
    sectors.into_iter().any(|sector| content[sector * SECTOR..][..SECTOR].iter().all(|byte| *byte == 0))
}

/// The length of the write that begins here: a start, items, an end.
fn write_length(content: &[u8]) -> Option<usize> {
    let mut place = 0;
    loop {
        let rest = content.get(place..)?;
        place += match (*rest.first()?, place) {
            // Number of items and sequence number.
            (1, 0) => 13,
            (2, 1..) => {
                let head: &[u8; 21] = rest.first_chunk()?;
                // Behind the kinds of the value and of its compression, and the keyspace.
                let key = u16::from_le_bytes([head[11], head[12]]);
                let value = u32::from_le_bytes([head[17], head[18], head[19], head[20]]);
                21 + usize::from(key) + value as usize
            }
            (3, 1..) => return (rest.get(9..13)? == TRAILER).then_some(place + 13),
            (4, 1..) => 9,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(value: &[u8]) -> Vec<u8> {
        let mut write = vec![1, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        write.extend([2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
        write.extend((value.len() as u32).to_le_bytes());
        write.extend((value.len() as u32).to_le_bytes());
        write.extend(b"key");
        write.extend(value);
        write.extend([3, 1, 2, 3, 4, 5, 6, 7, 8]);
        write.extend(TRAILER);
        write
    }

    #[test]
    fn a_hole_is_found_in_the_write_that_has_it() {
        let whole = write(&[b'x'; 3000]);
        let mut content = [whole.clone(), whole.clone(), whole.clone(), vec![0; 4096]].concat();
        assert_eq!(torn_write(&content), None);

        content[4096..4608].fill(0);

        assert_eq!(torn_write(&content), Some(whole.len()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn foreign_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), place in 0_usize..600) {
            torn_write(&bytes);
            let mut content = write(&bytes);
            if let Some(byte) = content.get_mut(place) {
                *byte ^= 0xff;
            }
            torn_write(&content);
        }
    }
}
