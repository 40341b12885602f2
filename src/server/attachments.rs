//! `/v1/attachments/{id}`: the bytes of a file that came with a complaint.
//!
//! Whatever the file is, a browser runs nothing of it (`threats.md` D2): it is named by its bytes, sniffed by nobody, kept in a
//! sandbox, and saved instead of shown unless it is a picture that is only painted.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use super::{App, authority::Authority, problem::Problem};
use crate::{
    complaint::{AttachmentState, FileRecord, RejectReason},
    media::{
        job::{Job, Lists, entry_id},
        kind,
        shelf::Record,
    },
    percent,
    store::StoreError,
};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Longest name that is told, in bytes of UTF-8.
const LONGEST_NAME: usize = 200;

pub async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    authority: Authority,
) -> Result<Response, Problem> {
    // Whoever may not see it learns nothing of its existence.
    let unknown = || Problem::not_found("no attachment has this id");
    let id: Uuid = id.parse().map_err(|_| unknown())?;
    let record = match app.shelf.record(id).await.map_err(|error| unreadable(&error))? {
        Some(record) => record,
        None => pending(&app, id).await?.ok_or_else(unknown)?,
    };
    authority.queue(&record.queue).map_err(|_| unknown())?;
    let file = &record.file;
    if file.state != AttachmentState::Stored {
        return Err(absent(file));
    }
    let open = tokio::fs::File::open(app.shelf.path(id)).await.map_err(|error| unreadable(&error))?;
    Ok((headers(file), body(open)).into_response())
}

/// A file whose job is not over.
async fn pending(app: &App, id: Uuid) -> Result<Option<Record>, StoreError> {
    let lists = Lists::of(&app.gateway.name);
    for list in [&lists.shared, &lists.own] {
        let entry = app.store.outbox_entry(list, &entry_id(id)).await?;
        if let Some(job) = entry.and_then(|entry| Job::read(&entry).ok()) {
            let Job { complaint_id, queue, file, .. } = job;
            return Ok(Some(Record { complaint_id, queue, file, told: false }));
        }
    }
    Ok(None)
}

fn unreadable(error: &io::Error) -> Problem {
    tracing::error!(%error, "a file cannot be read");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the file cannot be read; the gateway's log says why")
}

/// Why there are no bytes: they may still come, or they never will.
fn absent(file: &FileRecord) -> Problem {
    match (file.state, file.reject_reason) {
        (AttachmentState::Pending, _) => {
            Problem::new(StatusCode::CONFLICT, "the attachment is pending: an attachment_stored event will follow")
        }
        (AttachmentState::Expired, _) => Problem::not_found("the attachment is expired: the provider no longer has it"),
        (AttachmentState::Failed, _) => Problem::not_found("the attachment is failed: it could not be fetched"),
        (_, reason) => {
            let reason = match reason {
                Some(RejectReason::TooLarge) => "it is too large",
                Some(RejectReason::TypeNotAllowed) => "its type is not allowed",
                Some(RejectReason::Malware) => "a scanner found malware",
                Some(RejectReason::Empty) => "it is empty",
                _ => "it could not be had",
            };
            Problem::not_found(format!("the attachment is rejected: {reason}"))
        }
    }
}

fn headers(file: &FileRecord) -> HeaderMap {
    let kind = file.detected_media_type.as_deref().unwrap_or("application/octet-stream");
    let manner = if kind::is_picture(kind) { "inline" } else { "attachment" };
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        // Types are our own words and names are percent-encoded: what is no value of a header is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, kind);
    set(header::CONTENT_DISPOSITION, &format!("{manner}{}", name(file.filename.as_deref())));
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(header::CACHE_CONTROL, "private, no-store");
    if let Some(size) = file.size_bytes {
        set(header::CONTENT_LENGTH, &size.to_string());
    }
    headers
}

/// `; filename*=…` (RFC 8187). Everything but letters, digits and a few signs is encoded.
fn name(filename: Option<&str>) -> String {
    let Some(filename) = filename else { return String::new() };
    let shown = filename.chars().filter(|letter| !letter.is_control() && !is_turning(*letter));
    let mut length = 0;
    let short = shown.take_while(|letter| {
        length += letter.len_utf8();
        length <= LONGEST_NAME
    });
    format!("; filename*=UTF-8''{}", percent::encoded(&short.collect::<String>()))
}

/// Marks that turn the direction of writing make `gpj.exe` look like a picture.
fn is_turning(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Piece by piece: a file is never in memory as a whole.
fn body(file: tokio::fs::File) -> Body {
    Body::from_stream(stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        Ok::<_, io::Error>((length > 0).then(|| (Bytes::from(piece), file)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_data_and_breaks_out_of_nothing() {
        for (filename, expected) in [
            ("foto jalan.jpg", "; filename*=UTF-8''foto%20jalan.jpg"),
            ("a\"; x=\r\n.jpg", "; filename*=UTF-8''a%22%3B%20x%3D.jpg"),
            ("../\u{202e}gpj.exe", "; filename*=UTF-8''..%2Fgpj.exe"),
            ("jalan é", "; filename*=UTF-8''jalan%20%C3%A9"),
        ] {
            assert_eq!(name(Some(filename)), expected);
        }
        assert!(name(Some(&"x".repeat(4096))).len() < 300);
        assert_eq!(name(None), "");
    }
}
