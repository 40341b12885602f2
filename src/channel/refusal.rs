//! Derived refusals (`channel-manifest.md` §9): from each sample that passes, changed requests that must not pass.
//!
//! One that is accepted against what the scheme proves fails the manifest; one that is accepted in line with it is shown
//! as what the scheme does not prove.

use super::{Channel, attempt::Knock};
use crate::signature::refusals;

/// One changed request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived {
    /// In words that follow "accepted with": `one byte of the body flipped`.
    pub change: String,
    /// The scheme proves what the change breaks.
    pub must_be_refused: bool,
    pub was_refused: bool,
}

impl Derived {
    /// The scheme does not keep what it promises.
    pub fn is_hole(&self) -> bool {
        self.must_be_refused && !self.was_refused
    }
}

/// Makes the changed requests of one that passes, and runs them.
pub fn derive(channel: &Channel, knock: &Knock) -> Vec<Derived> {
    let Knock { request, remote, now, .. } = knock;
    let changed = refusals::derive(&channel.verifier, request, *remote, *now);
    let run = |changed: refusals::Derived| Derived {
        was_refused: !changed.is_accepted(&channel.verifier),
        must_be_refused: changed.must_refuse,
        change: changed.name,
    };
    changed.into_iter().map(run).collect()
}
