//! Media of WhatsApp: kept by id, fetched in two steps at a place that is good for five minutes, sent by id or by link.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use ring::digest;
use serde_json::{Value, json};

use super::{super::files::File, GraphApi, error::GraphError};
use crate::{clock, complaint::hex, units::Size};

/// How long a place is good.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);
/// Most places that are remembered; then all of them are forgotten.
const MOST_PLACES: usize = 50_000;
/// The kinds of messages that are a file.
pub const KINDS: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

/// Places that were told, each with its file and its end.
#[derive(Debug, Default)]
pub struct Places {
    places: HashMap<String, (String, Timestamp)>,
}

impl GraphApi {
    /// Keeps a file under an id of digits, as the real one makes them.
    pub(super) fn keep(&self, file: File) -> String {
        let number = u64::from_le_bytes(clock::random()) % 1_000_000_000;
        self.files.keep(&format!("{number:09}"), file)
    }

    /// `GET /<media id>`: where the bytes are for five minutes.
    pub(super) fn describe_media(&self, id: &str) -> Result<Value, GraphError> {
        let file = self.files.find(id).ok_or_else(|| GraphError::unknown_object(id))?;
        let ticket = hex(&clock::random::<16>());
        let end = self.now().saturating_add(GOOD_FOR).unwrap_or(Timestamp::MAX);
        let mut places = self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if places.places.len() >= MOST_PLACES {
            places.places.clear();
        }
        places.places.insert(ticket.clone(), (id.to_owned(), end));
        Ok(json!({
            "messaging_product": "whatsapp",
            "url": format!("{}/media/{ticket}", self.url()),
            "mime_type": file.media_type,
            "sha256": hex(digest::digest(&digest::SHA256, &file.bytes).as_ref()),
            "file_size": file.bytes.len(),
            "id": id,
        }))
    }

    /// The bytes behind a place, as long as it is good.
    pub(super) fn at_place(&self, ticket: &str) -> Option<Arc<File>> {
        let now = self.now();
        let places = self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (id, end) = places.places.get(ticket)?;
        if now < *end { self.files.find(id) } else { None }
    }

    /// `POST /<phone number id>/media`.
    pub(super) fn upload(&self, file: Option<&File>, media_type: Option<&str>) -> Result<Value, GraphError> {
        let file = file.ok_or_else(|| GraphError::invalid("The parameter file is required."))?;
        let mut file = file.clone();
        if let Some(media_type) = media_type {
            media_type.clone_into(&mut file.media_type);
        }
        if file.bytes.len() > largest(&file.media_type).as_usize() {
            return Err(GraphError::new(400, 131_053, "Media file size too big"));
        }
        Ok(json!({ "id": self.keep(file) }))
    }

    /// The file of a message, by id or by a link to this machine.
    pub(super) async fn file_of(&self, kind: &str, media: &Value) -> Result<(String, Arc<File>), GraphError> {
        if let Some(id) = media["id"].as_str() {
            let file = self.files.find(id).ok_or_else(|| GraphError::value("Media ID not found"))?;
            return Ok((id.to_owned(), file));
        }
        let link = media["link"].as_str().ok_or_else(|| GraphError::missing(&format!("{kind}['id'] or ['link']")))?;
        // A simulation asks nothing of anybody else. The real one says this in a status, behind an accepted call.
        let failed = || GraphError::new(400, 131_053, "Media upload error: the link cannot be fetched");
        if !(link.starts_with("http://127.0.0.1:") || link.starts_with("http://[::1]:")) {
            return Err(failed());
        }
        let limit = largest(&format!("{kind}/"));
        let bytes = self.client.fetch(link, limit).await.map_err(|_| failed())?;
        let media_type = infer::get(&bytes).map_or("application/octet-stream", |kind| kind.mime_type());
        let id = self.keep(File::new(bytes, media_type));
        let file = self.files.find(&id).ok_or_else(failed)?;
        Ok((id, file))
    }
}

/// Limits of sizes by type; those of images, sound and films are not confirmed.
fn largest(media_type: &str) -> Size {
    match media_type.split('/').next().unwrap_or_default() {
        "image" => Size::mib(5),
        "audio" | "video" => Size::mib(16),
        _ => Size::mib(100),
    }
}
