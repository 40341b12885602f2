//! From folders to a [`ChannelSet`]: each manifest that a channel names is checked and compiled once, then each channel
//! is opened. A file that fails at start leaves its channel closed; a file that fails later changes nothing.
//!
//! Manifests that no channel names are not looked at here: a broken one does no harm, and a start stays fast.
//! `loket channel check` looks at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    Channel, ChannelSet, Slot,
    document::did_you_mean,
    file::Environment,
    folders::{Digest, Files, TomlFile, read_bounded},
    open::{self, Defaults, Opened, Written},
    provider::Provider,
};
use crate::{
    clock,
    diagnostic::{Diagnostic, Severity, Source},
    receipt::ChannelId,
};

mod share;

/// A manifest that may be used, or its mistakes.
type Outcome = Result<Arc<Provider>, Vec<Diagnostic>>;

/// What a set remembers of how it was made, so that the next load does only what changed.
#[derive(Debug, Default)]
pub struct Memory {
    /// The last outcome of each manifest, by the digest of its files.
    checked: BTreeMap<String, (Digest, Outcome)>,
    /// The last good version of each.
    good: BTreeMap<String, Arc<Provider>>,
    opened: BTreeMap<ChannelId, Origin>,
}

/// What an open channel was made of.
#[derive(Clone, Debug)]
struct Origin {
    digest: Digest,
    provider: Arc<Provider>,
    /// With the digest of what was in them.
    secret_files: Vec<(PathBuf, Digest)>,
}

impl Origin {
    /// Does opening it again give the same channel?
    fn is_current(&self, digest: Digest, provider: &Arc<Provider>) -> bool {
        self.digest == digest && Arc::ptr_eq(&self.provider, provider) && self.secrets_are_current()
    }

    fn secrets_are_current(&self) -> bool {
        self.secret_files.iter().all(|(path, digest)| secret_digest(path) == *digest)
    }
}

fn secret_digest(path: &std::path::Path) -> Digest {
    read_bounded(path).map_or_else(|_| Digest::of([]), |content| Digest::of([content.as_slice()]))
}

impl Memory {
    /// Has a secret file changed since its channel was opened?
    pub fn has_new_secrets(&self) -> bool {
        self.opened.values().any(|origin| !origin.secrets_are_current())
    }
}

/// Loads every channel. Blocking: it reads secret files. With `previous` it is a reload.
pub fn load(
    files: &Files,
    environment: &Environment<'_>,
    defaults: &Defaults,
    previous: Option<&ChannelSet>,
) -> ChannelSet {
    if let Some(previous) = previous.filter(|previous| files.channels_are_gone && !previous.slots.is_empty()) {
        // A folder that is being exchanged, or a disk that is gone, is no wish to close every channel.
        let mut set = previous.clone();
        set.remarks = folder_faults(files);
        return set;
    }
    let nothing = ChannelSet::default();
    let loading = Loading {
        files,
        environment,
        defaults,
        previous: previous.unwrap_or(&nothing),
        slots: BTreeMap::new(),
        remarks: folder_faults(files),
        memory: Memory::default(),
        manifests: BTreeMap::new(),
        written: BTreeMap::new(),
    };
    loading.run()
}

/// A folder that is not there is an empty one: only what cannot be read is told.
fn folder_faults(files: &Files) -> Vec<Diagnostic> {
    let fault = |(path, reason): &(PathBuf, String)| Diagnostic {
        severity: Severity::Warning,
        source: Arc::new(Source { path: path.clone(), text: String::new() }),
        span: 0..0,
        message: format!("the folder is not read in full: {reason}"),
        hint: None,
    };
    files.faults.iter().map(fault).collect()
}

/// What a manifest's name stands for in this load.
#[derive(Clone, Debug)]
enum Found {
    Good(Arc<Provider>),
    /// The file is gone; the last good copy runs on until the next start.
    Left(Arc<Provider>),
    Broken(Vec<Diagnostic>),
    Missing,
}

struct Loading<'a> {
    files: &'a Files,
    environment: &'a Environment<'a>,
    defaults: &'a Defaults,
    previous: &'a ChannelSet,
    slots: BTreeMap<ChannelId, Slot>,
    remarks: Vec<Diagnostic>,
    memory: Memory,
    manifests: BTreeMap<String, Found>,
    written: BTreeMap<ChannelId, Written>,
}

impl Loading<'_> {
    fn run(mut self) -> ChannelSet {
        self.read_channels();
        let names: BTreeSet<_> = self.written.values().map(|written| written.file.manifest.clone()).collect();
        for name in names {
            let found = self.manifest(&name);
            self.manifests.insert(name, found);
        }
        for id in self.order() {
            match self.open(&id) {
                Ok((channel, origin)) => {
                    self.slots.insert(id.clone(), Slot::Open(channel));
                    self.memory.opened.insert(id, origin);
                }
                Err(reasons) => self.fail(id, reasons),
            }
        }
        ChannelSet { slots: self.slots, remarks: self.remarks, memory: Arc::new(self.memory) }
    }

    fn read_channels(&mut self) {
        for (name, file) in &self.files.channels {
            let Ok(id) = ChannelId::new(name.as_str()) else {
                let hint = Some("name it with 1 to 63 of a-z, 0-9 and `-`, like sms-1708.toml".to_owned());
                self.remarks.push(file.mistake(format!("the file name {name:?} is no channel id"), hint));
                continue;
            };
            let read = match &file.fault {
                Some(fault) => Err(vec![file.mistake(format!("channel {id} cannot be read: {fault}"), None)]),
                None => open::read(&file.source),
            };
            match read {
                Ok(written) => {
                    self.written.insert(id, written);
                }
                Err(reasons) => self.fail(id, reasons),
            }
        }
    }

    /// Receivers before the channels that share their URL, as those take keys from them. What runs before what is new:
    /// of two channels with one secret, the one that runs goes on.
    fn order(&self) -> Vec<ChannelId> {
        let mut ids: Vec<_> = self.written.iter().collect();
        ids.sort_by_key(|(id, written)| (written.file.receiver.is_some(), self.previous.open(id.as_str()).is_none()));
        ids.into_iter().map(|(id, _)| id.clone()).collect()
    }

    fn manifest(&mut self, name: &str) -> Found {
        let good = self.previous.memory.good.get(name).cloned();
        let (Some(file), Some(digest)) = (self.files.manifests.get(name), self.files.manifest_digest(name)) else {
            return match good {
                Some(provider) => {
                    self.memory.good.insert(name.to_owned(), Arc::clone(&provider));
                    Found::Left(provider)
                }
                None => Found::Missing,
            };
        };
        let outcome = match self.previous.memory.checked.get(name) {
            Some((before, outcome)) if *before == digest => outcome.clone(),
            _ => self.check(name, file),
        };
        self.memory.checked.insert(name.to_owned(), (digest, outcome.clone()));
        match (outcome, good) {
            (Ok(provider), _) => {
                self.remarks.extend(provider.remarks.iter().cloned());
                self.memory.good.insert(name.to_owned(), Arc::clone(&provider));
                Found::Good(provider)
            }
            (Err(mistakes), Some(provider)) => {
                self.remarks.extend(mistakes);
                self.memory.good.insert(name.to_owned(), Arc::clone(&provider));
                Found::Good(provider)
            }
            (Err(mistakes), None) => Found::Broken(mistakes),
        }
    }

    fn check(&self, name: &str, file: &TomlFile) -> Outcome {
        if let Some(fault) = &file.fault {
            return Err(vec![file.mistake(format!("manifest {name} cannot be read: {fault}"), None)]);
        }
        let checked =
            Provider::check(name, &file.source, &self.files.recordings, clock::now(), self.defaults.normalise);
        checked.provider.ok_or(checked.mistakes)
    }

    fn open(&mut self, id: &ChannelId) -> Result<(Arc<Channel>, Origin), Vec<Diagnostic>> {
        let written = &self.written[id];
        let wrong = |path: &str, message: String, hint: Option<String>| {
            let mut mistakes = written.mistakes.clone();
            mistakes.push(written.document.error(path, message, hint));
            mistakes
        };
        let manifest = &written.file.manifest;
        let provider = match self.manifests.get(manifest) {
            Some(Found::Good(provider)) => Arc::clone(provider),
            Some(Found::Left(provider)) => {
                let message = format!(
                    "manifest {manifest} is gone; channel {id} runs on its last good copy until the next start"
                );
                self.remarks.push(written.document.warning("manifest", message, Some("put the file back".to_owned())));
                Arc::clone(provider)
            }
            Some(Found::Broken(mistakes)) => {
                let mut reasons = wrong("manifest", format!("channel {id}: manifest {manifest} has mistakes"), None);
                reasons.extend(mistakes.iter().cloned());
                return Err(reasons);
            }
            Some(Found::Missing) | None => {
                let hint = did_you_mean(manifest, self.files.manifests.keys().map(String::as_str));
                return Err(wrong("manifest", format!("channel {id}: there is no manifest {manifest}"), hint));
            }
        };
        let receiver = self.receiver(id, written, &provider)?;
        let digest = self.files.channels[id.as_str()].digest;
        if let (None, Some(channel), Some(origin)) =
            (&receiver, self.previous.open(id.as_str()), self.previous.memory.opened.get(id))
            && origin.is_current(digest, &provider)
        {
            return Ok((Arc::clone(channel), origin.clone()));
        }
        let Opened { channel, secret_files } =
            open::open(id, written, &provider, receiver.as_deref(), self.environment, self.defaults)?;
        let secret_files = secret_files.into_iter().map(|path| (path.clone(), secret_digest(&path))).collect();
        let origin = Origin { digest, provider, secret_files };
        if let Some((setting, other)) = self.shares_a_secret(&channel, &origin.provider) {
            let message = format!("setting `{setting}` of channel {id} is the same secret as that of channel {other}");
            let hint = "what is sent to one could be replayed at the other: use another secret, or `receiver` where one key serves several numbers";
            let mistakes = wrong(&format!("settings.{setting}"), message, Some(hint.to_owned()));
            return Err(open::covered_for(written, &origin.provider.manifest, mistakes));
        }
        Ok((channel, origin))
    }

    /// What ran goes on running; what did not is closed.
    fn fail(&mut self, id: ChannelId, reasons: Vec<Diagnostic>) {
        match (self.previous.open(id.as_str()), self.previous.memory.opened.get(&id)) {
            (Some(channel), Some(origin)) => {
                self.remarks.extend(reasons);
                self.slots.insert(id.clone(), Slot::Open(Arc::clone(channel)));
                self.memory.opened.insert(id, origin.clone());
            }
            _ => {
                self.slots.insert(id, Slot::Closed { reasons: Arc::new(reasons) });
            }
        }
    }
}

#[cfg(test)]
mod tests;
