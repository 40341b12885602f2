//! A manifest that is fit to be used: read, checked, compiled once for all of its channels, its samples run.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Normaliser,
    document::Document,
    lint,
    manifest::Manifest,
    sample::{self, Rehearsal},
};
use crate::{
    adapter::Engine,
    diagnostic::{Diagnostic, Severity, Source},
    receipt::Proves,
    signature::Scheme,
};

/// A manifest with everything that was made of it.
#[derive(Debug)]
pub struct Provider {
    pub manifest: Arc<Manifest>,
    pub engine: Arc<Engine>,
    pub scheme: Scheme,
    /// Warnings: they keep nothing from running.
    pub remarks: Vec<Diagnostic>,
}

/// The parts that a channel is opened with, of a manifest that may still fail its samples.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub manifest: &'a Arc<Manifest>,
    pub engine: &'a Arc<Engine>,
    pub scheme: &'a Scheme,
}

/// All that `loket channel check` says of one manifest.
#[derive(Debug)]
pub struct Checked {
    /// Present when there is no error among the mistakes.
    pub provider: Option<Arc<Provider>>,
    /// Errors and warnings, in the order of the file.
    pub mistakes: Vec<Diagnostic>,
    /// What each sample showed; empty when the manifest does not compile.
    pub rehearsals: Vec<Rehearsal>,
    /// What the scheme proves, and whether it binds the URL; None when it does not compile.
    pub proves: Option<(Proves, bool)>,
}

impl Provider {
    pub fn parts(&self) -> Parts<'_> {
        Parts { manifest: &self.manifest, engine: &self.engine, scheme: &self.scheme }
    }

    /// Reads, lints and rehearses a manifest. `recordings` are the raw requests beside it; `now` is the clock of samples
    /// that bring none.
    pub fn check(
        name: &str,
        source: &Arc<Source>,
        recordings: &BTreeMap<String, Bytes>,
        now: Timestamp,
        normalise: Normaliser,
    ) -> Checked {
        let document = match Document::parse(Arc::clone(source)) {
            Ok(document) => document,
            Err(mistakes) => return Checked::failed(mistakes),
        };
        let (manifest, mistakes) = document.read::<Manifest>();
        // What is missing or of a wrong type was filled with something: only what is really there can be judged.
        let (Some(manifest), true) = (manifest, mistakes.is_empty()) else { return Checked::failed(mistakes) };
        let mut report = lint::Report::new(&document);
        let compiled = lint::manifest(name, &manifest, &mut report);
        let Some((engine, scheme)) = compiled else { return Checked::failed(report.finish()) };
        let (manifest, engine) = (Arc::new(manifest), Arc::new(engine));
        let proves = Some((scheme.proves(), scheme.binds_url()));
        let parts = Parts { manifest: &manifest, engine: &engine, scheme: &scheme };
        let rehearsals = sample::rehearse(&parts, recordings, now, normalise);
        lint::samples::judge(&manifest, &rehearsals, &mut report);
        let mistakes = report.finish();
        let is_good = mistakes.iter().all(|mistake| mistake.severity == Severity::Warning);
        let provider = is_good.then(|| Arc::new(Self { manifest, engine, scheme, remarks: mistakes.clone() }));
        Checked { provider, mistakes, rehearsals, proves }
    }
}

impl Checked {
    fn failed(mut mistakes: Vec<Diagnostic>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        Self { provider: None, mistakes, rehearsals: Vec::new(), proves: None }
    }
}

#[cfg(test)]
pub(super) mod tests;
