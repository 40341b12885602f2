//! `/v1/attachments/{id}`: the bytes of a file that came with a complaint, or was handed in for an answer; and `/files/{token}`,
//! where a provider fetches a file of an answer.
//!
//! Whatever the file is, a browser runs nothing of it (`threats.md` D2): it is named by its bytes, sniffed by nobody, kept in a
//! sandbox, and saved instead of shown unless it is a picture that is only painted.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{App, authority::Authority, problem::Problem};
use crate::{
    clock,
    complaint::{AttachmentState, FileRecord, RejectReason},
    media::{
        job::{Job, Lists, entry_id},
        kind, link, name,
        shelf::{Opened, Record},
    },
    percent,
    store::StoreError,
};

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
        None => match pending(&app, id).await? {
            Some(record) => record,
            None => return handed_in(&app, id, &authority).await?.ok_or_else(unknown),
        },
    };
    authority.queue(&record.queue).map_err(|_| unknown())?;
    let file = &record.file;
    if file.state != AttachmentState::Stored {
        return Err(absent(file));
    }
    let opened = app.shelf.bytes(id).await.map_err(|error| unreadable(&error))?;
    // The record says that it is there.
    let opened = opened.ok_or_else(|| unreadable(&io::ErrorKind::NotFound.into()))?;
    Ok(response(file.detected_media_type.as_deref(), file.filename.as_deref(), opened))
}

/// A file of an answer that has not gone yet, for those who may send it.
async fn handed_in(app: &App, id: Uuid, authority: &Authority) -> Result<Option<Response>, Problem> {
    let upload = app.shelf.upload(id).await.map_err(|error| unreadable(&error))?;
    let Some(upload) = upload.filter(|upload| authority.may_send(&upload.owner)) else { return Ok(None) };
    if let Some(complaint) = app.shelf.taken_for(id).await.map_err(|error| unreadable(&error))? {
        // It belongs to that complaint now, and so to whoever works on it.
        let Some(record) = app.store.complaint(complaint).await? else { return Ok(None) };
        if authority.queue(&record.queue).is_err() {
            return Ok(None);
        }
    }
    let opened = app.shelf.bytes(id).await.map_err(|error| unreadable(&error))?;
    Ok(opened.map(|opened| response(Some(&upload.media_type), upload.filename.as_deref(), opened)))
}

/// Wrong, over, and gone answer alike.
pub async fn linked(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("there is no file at this link, or its time is over");
    let key = app.gateway.reporter_key.get().ok_or_else(unknown)?;
    let id = link::attachment_of(key, &token, clock::now()).ok_or_else(unknown)?;
    let upload = app.shelf.upload(id).await.map_err(|error| unreadable(&error))?;
    let (kind, filename) = if let Some(upload) = upload {
        (Some(upload.media_type), upload.filename)
    } else {
        // A citizen's own file, sent back.
        let record = app.shelf.record(id).await.map_err(|error| unreadable(&error))?.ok_or_else(unknown)?;
        (record.file.detected_media_type, record.file.filename)
    };
    let opened = app.shelf.bytes(id).await.map_err(|error| unreadable(&error))?.ok_or_else(unknown)?;
    Ok(response(kind.as_deref(), filename.as_deref(), opened))
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

fn response(kind: Option<&str>, filename: Option<&str>, opened: Opened) -> Response {
    (headers(kind, filename, opened.size), Body::from_stream(opened.pieces)).into_response()
}

fn headers(kind: Option<&str>, filename: Option<&str>, size: u64) -> HeaderMap {
    let kind = kind.unwrap_or("application/octet-stream");
    let manner = if kind::is_picture(kind) { "inline" } else { "attachment" };
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &str| {
        // Types are our own words and names are percent-encoded: what is no value of a header is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, kind);
    set(header::CONTENT_DISPOSITION, &format!("{manner}{}", name(filename)));
    set(header::CONTENT_LENGTH, &size.to_string());
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("x-robots-tag"), "noindex, nofollow");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "private, no-store");
    headers
}

/// `; filename*=…` (RFC 8187). Everything but letters, digits and a few signs is encoded.
fn name(filename: Option<&str>) -> String {
    let Some(filename) = filename else { return String::new() };
    format!("; filename*=UTF-8''{}", percent::encoded(&name::shown(filename)))
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
