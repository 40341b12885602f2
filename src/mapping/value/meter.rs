//! What one run of a filter may use. A running filter cannot be stopped from outside, so every operation of a value pays
//! here, and when nothing is left every further operation fails and every loop ends.
//!
//! The account belongs to the thread, as the operators of a value (`+`, `*`) are handed nothing but values. It is opened by
//! `metered` and says nothing outside of it.

use std::cell::Cell;

use jaq_core::Error;

use super::Value;

/// Bytes that one run may allocate in all, freed or not; small operations cost `STEP`. A run that spends all of it takes some
/// tenths of a second, several times what a receipt may take.
const ALLOWANCE: usize = 32 << 20;
/// Bytes that the smallest operation pays for.
pub(in crate::mapping) const STEP: usize = 32;
/// Bytes of an entry of an object: two values, a hash, and the key's buffer.
pub(in crate::mapping) const ENTRY: usize = 80;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(0) };
    static OVERRUN: Cell<bool> = const { Cell::new(false) };
}

/// The run used up its allowance, or built a value that is nested too deeply. What it gave must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct Overrun;

/// Runs with a fresh allowance. Everything that the run makes must be consumed inside, as filters are lazy.
pub(in crate::mapping) fn metered<T>(run: impl FnOnce() -> T) -> Result<T, Overrun> {
    LEFT.set(ALLOWANCE);
    OVERRUN.set(false);
    let result = run();
    if OVERRUN.get() { Err(Overrun) } else { Ok(result) }
}

/// Pays for `bytes`; false when they are not left, and then nothing is.
pub(in crate::mapping) fn spend(bytes: usize) -> bool {
    if let Some(left) = LEFT.get().checked_sub(bytes) {
        LEFT.set(left);
        true
    } else {
        stop();
        false
    }
}

/// Pays for `bytes`, or fails as a filter fails.
pub(in crate::mapping) fn charge(bytes: usize) -> Result<(), Error<Value>> {
    if spend(bytes) { Ok(()) } else { Err(overrun()) }
}

/// Ends the run: nothing is left.
pub(in crate::mapping) fn stop() {
    LEFT.set(0);
    OVERRUN.set(true);
}

/// The error that operations give after the end. A filter may catch it; the run is lost all the same.
pub(in crate::mapping) fn overrun() -> Error<Value> {
    Error::str("`limits`: the filter used more than it may")
}
