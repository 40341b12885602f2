//! Reading.
use super::{Circumstances, Letter, Unreadable};

/// Reads a letter.
pub fn read(_letter: &[u8], _circumstances: &Circumstances<'_>) -> Result<Letter, Unreadable> {
    Err(Unreadable("not yet".to_owned()))
}
