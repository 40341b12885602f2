//! Why a block of `[[verify]]` did not pass: for the operator's log only.

use crate::receipt::CheckResult;

/// A check that did not pass. The text names places and settings, never their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) result: CheckResult,
    pub(super) detail: String,
}

impl Failure {
    /// The credentials are not in the request at all.
    pub(super) fn absent(detail: impl Into<String>) -> Self {
        Self { result: CheckResult::None, detail: detail.into() }
    }

    /// They are there and do not hold.
    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        Self { result: CheckResult::Fail, detail: detail.into() }
    }

    /// A key is not here yet: the provider is asked to come again.
    pub(super) fn later(detail: impl Into<String>) -> Self {
        Self { result: CheckResult::Temperror, detail: detail.into() }
    }
}
