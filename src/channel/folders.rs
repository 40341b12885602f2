//! Reads the two folders as they are at one moment: manifests with their recordings, and channel files. Bounded, and
//! nothing is interpreted yet.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use crate::{
    diagnostic::{Diagnostic, Severity, Source},
    units::Size,
};

/// Largest file.
const FILE: Size = Size::mib(1);
/// Most files of a folder.
const FILES: usize = 1000;

/// Where manifests and channels are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// `channels/`
    pub manifests: PathBuf,
    /// `config/channels/`
    pub channels: PathBuf,
}

/// SHA-256 of a content. Prints nothing: it may be that of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl std::fmt::Debug for Digest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Digest(***)")
    }
}

impl Digest {
    /// Of several contents; where one ends and the next begins counts.
    pub fn of<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = Context::new(&SHA256);
        for content in contents {
            context.update(&(content.len() as u64).to_be_bytes());
            context.update(content);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// A file with its name without `.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct TomlFile {
    /// Empty when it could not be read.
    pub source: Arc<Source>,
    pub digest: Digest,
    /// Why it could not be read.
    pub fault: Option<String>,
}

impl TomlFile {
    /// The file as a whole is the mistake.
    pub fn mistake(&self, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            source: Arc::clone(&self.source),
            span: 0..0,
            message: message.into(),
            hint,
        }
    }
}

/// Both folders at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    pub manifests: BTreeMap<String, TomlFile>,
    pub channels: BTreeMap<String, TomlFile>,
    /// Raw requests beside the manifests, by file name.
    pub recordings: BTreeMap<String, Bytes>,
    /// The folder of the channels is not there, or cannot be listed.
    pub channels_are_gone: bool,
    /// Folders that are there and could not be read in full, with the reason.
    pub faults: Vec<(PathBuf, String)>,
}

impl Files {
    /// Reads both folders. Blocking. A folder that does not exist is an empty one.
    pub fn read(folders: &Folders) -> Self {
        let mut files = Self::default();
        for (name, path) in files.list(&folders.manifests).unwrap_or_default() {
            match name.strip_suffix(".toml") {
                Some(id) => {
                    files.manifests.insert(id.to_owned(), read_toml(path));
                }
                None => {
                    // What cannot be read is missed where a sample names it.
                    if let Ok(content) = read_bounded(&path) {
                        files.recordings.insert(name, content.into());
                    }
                }
            }
        }
        let channels = files.list(&folders.channels);
        files.channels_are_gone = channels.is_none();
        for (name, path) in channels.unwrap_or_default() {
            if let Some(id) = name.strip_suffix(".toml") {
                files.channels.insert(id.to_owned(), read_toml(path));
            }
        }
        files
    }

    /// Names and paths of the files in a folder, hidden ones left out. None: it cannot be listed.
    fn list(&mut self, folder: &Path) -> Option<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.faults.push((folder.to_owned(), error.to_string()));
                }
                return None;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'));
            // A link counts as what it points at.
            if let Some(name) = name.filter(|_| path.is_file()) {
                found.push((name, path));
            }
        }
        found.sort();
        if found.len() > FILES {
            self.faults.push((
                folder.to_owned(),
                format!("it has more than {FILES} files; those after the first {FILES} are not read"),
            ));
            found.truncate(FILES);
        }
        Some(found)
    }

    /// Of a manifest with everything that its samples may read.
    pub fn manifest_digest(&self, name: &str) -> Option<Digest> {
        let file = self.manifests.get(name)?;
        let recordings = self.recordings.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_ref()]);
        Some(Digest::of(std::iter::once(file.digest.0.as_slice()).chain(recordings)))
    }
}

fn read_toml(path: PathBuf) -> TomlFile {
    let (text, fault) = match read_bounded(&path).map(String::from_utf8) {
        Ok(Ok(text)) => (text, None),
        Ok(Err(_)) => (String::new(), Some("it is not UTF-8 text".to_owned())),
        Err(error) => (String::new(), Some(error.to_string())),
    };
    let digest = Digest::of([text.as_bytes(), fault.as_deref().unwrap_or_default().as_bytes()]);
    TomlFile { source: Arc::new(Source { path, text }), digest, fault }
}

/// The content of a file, or of a secret's file, up to the limit.
pub fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, FILE)
}

/// The content of a file, or an error when it is larger.
pub fn read_up_to(path: &Path, limit: Size) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = fs::File::open(path)?;
    io::Read::read_to_end(&mut io::Read::take(file, limit.as_u64() + 1), &mut content)?;
    if content.len() as u64 > limit.as_u64() {
        return Err(io::Error::other(format!("it is larger than {limit}")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_folders_are_read_and_what_is_no_file_of_ours_is_left_out() {
        let root = tempfile::tempdir().expect("a folder");
        let folders = Folders { manifests: root.path().join("channels"), channels: root.path().join("config") };
        let nothing = Files::read(&folders);
        assert!(nothing.channels_are_gone && nothing.faults.is_empty() && nothing.manifests.is_empty());
        fs::create_dir_all(folders.manifests.join("inner.toml")).expect("a folder");
        fs::create_dir_all(&folders.channels).expect("a folder");
        fs::write(folders.manifests.join("a.toml"), "x = 1").expect("written");
        fs::write(folders.manifests.join("a.http"), "GET /").expect("written");
        fs::write(folders.manifests.join(".b.toml.swp"), "x").expect("written");
        fs::write(folders.channels.join("sms.toml"), b"\xff").expect("written");
        fs::write(folders.channels.join("large.toml"), vec![b'#'; (1 << 20) + 1]).expect("written");
        fs::write(folders.channels.join("README.md"), "x").expect("written");

        let files = Files::read(&folders);

        assert_eq!(files.faults, Vec::new());
        assert_eq!(files.manifests.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(files.recordings.keys().collect::<Vec<_>>(), ["a.http"]);
        assert_eq!(files.channels.keys().collect::<Vec<_>>(), ["large", "sms"]);
        assert!(files.channels["sms"].fault.as_deref().is_some_and(|fault| fault.contains("UTF-8")));
        assert!(files.channels["large"].fault.as_deref().is_some_and(|fault| fault.contains("larger")));
        assert_eq!(Files::read(&folders), files, "nothing changed");
        let digest = files.manifest_digest("a");
        fs::write(folders.manifests.join("a.http"), "GET /b").expect("written");
        let changed = Files::read(&folders);
        assert_ne!(changed, files);
        assert_ne!(changed.manifest_digest("a"), digest, "a recording belongs to the manifest");
    }
}
