//! What the courier needs of the files of answers: their bytes, or a link under which a provider fetches them.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::attempt::Tried;
use crate::{
    adapter::webhook::send::files::FileFacts,
    clock,
    complaint::hex,
    gateway::Gateway,
    media::{
        link,
        shelf::{Opened, Shelf},
    },
    message::Enclosure,
    units::Span,
};

/// For the beginning of a file: what is left of the answer's lease is for its request.
const OPENING: Duration = Duration::from_secs(5);

/// Where files are, and for how long a link to one is good.
#[derive(Clone, Debug)]
pub struct Files {
    pub shelf: Shelf,
    pub link_life: Span,
}

/// Why a file cannot be sent.
pub(super) enum Missing {
    /// It is not on the shelf any more.
    Gone,
    /// The shelf cannot be read now.
    Away(String),
    TooLarge,
}

impl Missing {
    pub fn tried(self) -> Tried {
        match self {
            Self::Gone => Tried::never("a file of the answer is not on the shelf any more; hand it in again"),
            Self::Away(reason) => Tried::again(format!("a file of the answer cannot be read: {reason}")),
            Self::TooLarge => Tried::never("the files of the answer are larger than a letter may have"),
        }
    }
}

/// What of a file is made anew for each try.
pub(super) struct Fresh {
    link: String,
    boundary: String,
}

impl Fresh {
    pub fn facts<'a>(&'a self, enclosure: &'a Enclosure) -> FileFacts<'a> {
        FileFacts {
            link: &self.link,
            media_type: &enclosure.media_type,
            size: enclosure.size_bytes,
            filename: &enclosure.filename,
            caption: enclosure.caption.as_deref(),
            boundary: &self.boundary,
        }
    }
}

impl Files {
    /// None while the store has not told its key.
    pub(super) fn fresh(&self, gateway: &Gateway, enclosure: &Enclosure, answer: &str) -> Option<Fresh> {
        let until = clock::now().checked_add(self.link_life.signed()).unwrap_or(jiff::Timestamp::MAX);
        let token = link::token(gateway.reporter_key.get()?, enclosure.attachment_id, answer, until);
        let boundary = format!("loket-{}", hex(&clock::random::<16>()));
        Some(Fresh { link: format!("{}/files/{token}", gateway.public_url), boundary })
    }

    /// The bytes in memory, at most so many.
    pub(super) async fn whole(&self, enclosure: &Enclosure, room: u64) -> Result<Vec<u8>, Missing> {
        let mut opened = self.bytes(enclosure).await?;
        if opened.size > room {
            return Err(Missing::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(opened.size).unwrap_or(0));
        while let Some(piece) = opened.pieces.next().await {
            let piece = piece.map_err(|error| Missing::Away(error.to_string()))?;
            if (bytes.len() + piece.len()) as u64 > opened.size {
                return Err(Missing::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    pub(super) async fn bytes(&self, enclosure: &Enclosure) -> Result<Opened, Missing> {
        match tokio::time::timeout(OPENING, self.shelf.bytes(enclosure.attachment_id)).await {
            Ok(Ok(Some(opened))) => Ok(opened),
            Ok(Ok(None)) => Err(Missing::Gone),
            Ok(Err(error)) => Err(Missing::Away(error.to_string())),
            Err(_) => Err(Missing::Away("its place does not answer in time".to_owned())),
        }
    }
}
