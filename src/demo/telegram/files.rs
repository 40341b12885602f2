//! Files of the Bot API: kept under a `file_id`, fetched in two steps, sent by id, by upload or by URL.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{files::File, parameters::Parameters},
    BotApi,
    method::Refusal,
    sending::Kind,
};
use crate::units::Size;

/// What `getFile` gives: files of the bots' own server, not of the citizens'.
const LARGEST_TO_FETCH: usize = 20_000_000;
/// What a bot may upload, and what it may send by URL.
const LARGEST_UPLOAD: usize = 50_000_000;
const LARGEST_PHOTO: usize = 10_000_000;
const LARGEST_OF_URL: Size = Size::bytes(20_000_000);

impl BotApi {
    /// Keeps a file under an id as the real one makes them, with its kind at the beginning.
    pub(super) fn keep(&self, kind: Kind, file: File) -> String {
        let prefix = match kind {
            Kind::Photo => "AgAC",
            Kind::Video => "BAAC",
            Kind::Audio => "CQAC",
            Kind::Voice => "AwAC",
            _ => "BQAC",
        };
        self.files.keep(prefix, file)
    }

    /// The same bytes under the id of a large picture and of its small one.
    fn known(&self, id: &str) -> Option<Arc<File>> {
        self.files.find(id.strip_suffix("-s").unwrap_or(id))
    }

    /// `getFile`: where the bytes are. The real place is good for an hour; this one as long as the file.
    pub(super) fn find_file(&self, parameters: &Parameters) -> Result<Value, Refusal> {
        let id = parameters.text("file_id").ok_or_else(|| Refusal::bad("file_id not specified"))?;
        let unknown = "wrong file_id or the file is temporarily unavailable";
        let file = self.known(&id).ok_or_else(|| Refusal::bad(unknown))?;
        if file.bytes.len() > LARGEST_TO_FETCH {
            return Err(Refusal::bad("file is too big"));
        }
        let folder = match id.get(..4).unwrap_or_default() {
            "AgAC" => "photos",
            "BAAC" => "videos",
            "CQAC" => "music",
            "AwAC" => "voice",
            _ => "documents",
        };
        let path = format!("{folder}/{id}.{}", file.ending());
        Ok(json!({ "file_id": id, "file_unique_id": id, "file_size": file.bytes.len(), "file_path": path }))
    }

    pub(super) fn file_at(&self, path: &str) -> Option<Arc<File>> {
        let name = path.rsplit('/').next()?;
        self.known(name.split('.').next()?)
    }

    /// The file of a message that the bot sends, with its id.
    pub(super) fn file_of(&self, field: &str, parameters: &Parameters) -> Result<(String, Arc<File>), Refusal> {
        let kind = Kind::of(&format!("send{field}")).unwrap_or(Kind::Document);
        if let Some(upload) = parameters.upload(field) {
            let limit = if kind == Kind::Photo { LARGEST_PHOTO } else { LARGEST_UPLOAD };
            if upload.bytes.len() > limit {
                return Err(Refusal::new(413, "Request Entity Too Large"));
            }
            if upload.bytes.is_empty() {
                return Err(Refusal::bad("file must be non-empty"));
            }
            let mut file = upload.clone();
            if kind == Kind::Photo {
                let kind = sniffed(&file.bytes).ok_or_else(|| Refusal::bad("IMAGE_PROCESS_FAILED"))?;
                kind.clone_into(&mut file.media_type);
            }
            let id = self.keep(kind, file);
            let file = self.known(&id).ok_or_else(|| Refusal::bad("file is too big"))?;
            return Ok((id, file));
        }
        let id = parameters.text(field).ok_or_else(|| Refusal::bad(&format!("there is no {field} in the request")))?;
        let unknown = "wrong file identifier/HTTP URL specified";
        self.known(&id).map(|file| (id, file)).ok_or_else(|| Refusal::bad(unknown))
    }

    /// Fetches a file that a call names by URL. This machine only: a simulation asks nothing of anybody else.
    pub(super) async fn fetch_files(&self, method: &str, parameters: &mut Parameters) -> Result<(), Refusal> {
        let Some(field) = Kind::of(&method.to_ascii_lowercase()).and_then(Kind::field) else { return Ok(()) };
        let Some(url) = parameters.text(field).filter(|url| url.starts_with("http")) else { return Ok(()) };
        let failed = || Refusal::bad("failed to get HTTP URL content");
        if !(url.starts_with("http://127.0.0.1:") || url.starts_with("http://[::1]:")) {
            return Err(failed());
        }
        let bytes = self.client.fetch(&url, LARGEST_OF_URL).await.map_err(|_| failed())?;
        let media_type = sniffed(&bytes).unwrap_or("application/octet-stream");
        parameters.attach(field, File::new(bytes, media_type));
        Ok(())
    }
}

fn sniffed(bytes: &[u8]) -> Option<&'static str> {
    infer::get(bytes).map(|kind| kind.mime_type())
}
