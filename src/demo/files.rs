//! The bytes of files that simulated providers keep, under ids that nobody guesses. The oldest go when there is no room.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{clock, complaint::hex, units::Size};

/// All files together.
const ROOM: Size = Size::mib(256);

/// A file as it was sent.
#[derive(Clone)]
pub struct File {
    pub bytes: Bytes,
    pub media_type: String,
    pub name: Option<String>,
}

impl fmt::Debug for File {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "File({}, {} bytes)", self.media_type, self.bytes.len())
    }
}

impl File {
    pub fn new(bytes: impl Into<Bytes>, media_type: &str) -> Self {
        Self { bytes: bytes.into(), media_type: media_type.to_owned(), name: None }
    }

    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The usual ending of a name for this type.
    pub fn ending(&self) -> &'static str {
        match self.media_type.split(';').next().unwrap_or_default() {
            "image/jpeg" => "jpg",
            "image/png" => "png",
            "image/webp" => "webp",
            "video/mp4" => "mp4",
            "audio/ogg" => "oga",
            "audio/mpeg" => "mp3",
            "application/pdf" => "pdf",
            "text/plain" => "txt",
            _ => "bin",
        }
    }
}

#[derive(Debug, Default)]
struct Shelf {
    files: HashMap<String, Arc<File>>,
    order: VecDeque<String>,
    bytes: usize,
}

/// Files by id.
#[derive(Debug, Default)]
pub struct Files {
    shelf: Mutex<Shelf>,
}

impl Files {
    /// Keeps a file under a fresh id, in letters, digits, `-` and `_`.
    pub fn keep(&self, prefix: &str, file: File) -> String {
        let id = format!("{prefix}{}", hex(&clock::random::<16>()));
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.bytes += file.bytes.len();
        shelf.order.push_back(id.clone());
        shelf.files.insert(id.clone(), Arc::new(file));
        while shelf.bytes > ROOM.as_usize() && shelf.order.len() > 1 {
            let oldest = shelf.order.pop_front().unwrap_or_default();
            let freed = shelf.files.remove(&oldest).map_or(0, |file| file.bytes.len());
            shelf.bytes -= freed;
        }
        id
    }

    pub fn find(&self, id: &str) -> Option<Arc<File>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).files.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_file_goes_when_there_is_no_room() {
        let files = Files::default();
        let large = || File::new(vec![0; ROOM.as_usize() / 2 + 1], "video/mp4");
        let (first, second) = (files.keep("a", large()), files.keep("a", large()));
        assert!(files.find(&first).is_none());
        assert_eq!(files.find(&second).expect("the newest stays").ending(), "mp4");
    }
}
