//! From the blocks' answers to one verdict.

use super::{block::Block, failure::Failure, judge::Passed, place::Place, rules::Require};
use crate::receipt::{Check, CheckResult, Proves, Verdict, VerdictResult};

pub(super) fn blank(result: VerdictResult) -> Verdict {
    Verdict { result, proves: Proves::default(), detail: String::new(), checks: Vec::new(), nonce: None }
}

/// The blocks' answers to one request.
#[derive(Default)]
pub(super) struct Tally {
    passed: Vec<(Check, Passed)>,
    failed: Vec<Check>,
}

impl Tally {
    pub(super) fn add(&mut self, block: &Block, outcome: Result<Passed, Failure>) {
        let method = block.method().to_owned();
        match outcome {
            Ok(passed) => {
                let detail = block.credentials().map(Place::label);
                self.passed.push((Check { method, result: CheckResult::Pass, detail }, passed));
            }
            Err(Failure { result, detail }) => self.failed.push(Check { method, result, detail: Some(detail) }),
        }
    }

    /// The alternatives that did not pass say nothing about a receipt that one of them let in.
    pub(super) fn verdict(self, require: Require) -> Verdict {
        let passes = match require {
            Require::Any => !self.passed.is_empty(),
            Require::All => self.failed.is_empty(),
        };
        if !passes {
            let reasons = self
                .failed
                .iter()
                .map(|check| format!("{}: {}", check.method, check.detail.as_deref().unwrap_or_default()));
            let detail = reasons.collect::<Vec<_>>().join("; ");
            let checks = self.passed.into_iter().map(|(check, _)| check).chain(self.failed).collect();
            return Verdict { detail, checks, ..blank(VerdictResult::Fail) };
        }
        let mut verdict = blank(VerdictResult::Pass);
        for (check, passed) in self.passed {
            verdict.checks.push(check);
            verdict.nonce = verdict.nonce.or(passed.nonce);
            verdict.proves.sender |= passed.proves.sender;
            verdict.proves.content |= passed.proves.content;
            verdict.proves.freshness |= passed.proves.freshness;
        }
        verdict
    }
}
