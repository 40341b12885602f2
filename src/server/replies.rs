//! `POST /v1/complaints/{id}/replies`: words and files of the core, to the citizen on their channel.
//!
//! What the channel cannot take is refused here, before anything is accepted: no file is ever left out in silence. A file may
//! leave if it was handed in by whoever may send it, and for no other complaint before; or if it came with this very complaint.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    App,
    authority::Authority,
    complaints::{Answer, ReplyAccepted, answer_id, find_for, send},
    problem::Problem,
    queues::body,
};
use crate::{
    adapter::webhook::send::Standing,
    channel::Channel,
    clock,
    complaint::AttachmentState,
    mail::answer::ENCLOSED,
    media::{name, shelf::uploads::Upload},
    message::Enclosure,
    store::{ComplaintRecord, OutboxKind},
};

/// Most characters of one answer.
pub(super) const LONGEST_TEXT: usize = 4096;
/// Most files of one answer.
const MOST_FILES: usize = 10;
/// Most characters of a caption, whatever the channel.
const LONGEST_CAPTION: usize = 1024;
const LONGEST_NAME: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplyRequest {
    text: String,
    #[serde(default)]
    attachments: Vec<Wanted>,
    idempotency_key: String,
}

/// A file that the answer takes along.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    attachment_id: Uuid,
    #[serde(default)]
    caption: Option<String>,
    /// Instead of the name that it was handed in with.
    #[serde(default)]
    filename: Option<String>,
}

impl std::fmt::Debug for ReplyRequest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ReplyRequest({} bytes, {} files)", self.text.len(), self.attachments.len())
    }
}

pub async fn reply(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    authority: Authority,
    request: Result<Json<ReplyRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<ReplyAccepted>), Problem> {
    let record = find_for(&app, &id, &authority).await?;
    let request = body(request)?;
    check(&request)?;
    let cause = format!("reply\n{}\n{}", record.complaint_id, request.idempotency_key);
    let enclosures = if request.attachments.is_empty() {
        Vec::new()
    } else {
        // What was accepted is accepted, whatever has become of its files meanwhile.
        let reply_id = answer_id(&cause);
        if app.store.outbox_entry(&record.channel, &reply_id).await?.is_some() {
            return Ok((StatusCode::ACCEPTED, Json(ReplyAccepted { reply_id, repeated: true })));
        }
        enclosures(&app, &record, &authority, &request.attachments).await?
    };
    send(&app, &record, Answer { cause: &cause, kind: OutboxKind::Reply, text: request.text, enclosures }).await
}

fn check(request: &ReplyRequest) -> Result<(), Problem> {
    if request.text.trim().is_empty() || request.text.chars().count() > LONGEST_TEXT {
        return Err(Problem::bad_request(format!("text: write 1 to {LONGEST_TEXT} characters")));
    }
    if request.idempotency_key.is_empty() || request.idempotency_key.len() > 200 {
        return Err(Problem::bad_request(
            "idempotency_key: write 1 to 200 bytes, the same when you repeat the request",
        ));
    }
    if request.attachments.len() > MOST_FILES {
        return Err(Problem::bad_request(format!("attachments: at most {MOST_FILES}")));
    }
    for (place, wanted) in request.attachments.iter().enumerate() {
        let length = |text: &Option<String>| text.as_ref().map_or(0, |text| text.chars().count());
        if length(&wanted.caption) > LONGEST_CAPTION || length(&wanted.filename) > LONGEST_NAME {
            let detail = format!("attachments[{place}]: a caption has at most {LONGEST_CAPTION} characters");
            return Err(Problem::bad_request(detail));
        }
    }
    Ok(())
}

/// The files of an answer, if every one of them may leave, for this complaint and on its channel.
async fn enclosures(
    app: &App,
    record: &ComplaintRecord,
    authority: &Authority,
    wanted: &[Wanted],
) -> Result<Vec<Enclosure>, Problem> {
    let channel = app.channels.borrow().open(record.channel.as_str()).cloned();
    let channel = channel.ok_or_else(|| {
        let detail = "attachments: the channel is closed, and it is not known what it takes; try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let now = clock::now();
    let mut enclosures = Vec::with_capacity(wanted.len());
    let mut uploads = Vec::new();
    for (place, wanted) in wanted.iter().enumerate() {
        let (enclosure, upload) = find(app, record, authority, wanted).await?.ok_or_else(|| foreign(place))?;
        fits(&channel, &enclosure, place)?;
        enclosures.push(enclosure);
        uploads.extend(upload.map(|upload| (place, upload)));
    }
    whole(&channel, &enclosures)?;
    in_time(app, &channel, record).await?;
    // Only now: a refused answer takes no file away.
    for (place, upload) in &uploads {
        if !app.shelf.take(upload, record.complaint_id, now).await.map_err(|error| away(&error))? {
            return Err(foreign(*place));
        }
    }
    Ok(enclosures)
}

/// A file that may leave with answers to this complaint. Unknown, foreign and gone are all None.
async fn find(
    app: &App,
    record: &ComplaintRecord,
    authority: &Authority,
    wanted: &Wanted,
) -> Result<Option<(Enclosure, Option<Upload>)>, Problem> {
    let id = wanted.attachment_id;
    let enclosure = |media_type: &str, size_bytes, own: Option<&str>| Enclosure {
        attachment_id: id,
        media_type: media_type.to_owned(),
        size_bytes,
        filename: name::sent(wanted.filename.as_deref().or(own), media_type),
        caption: wanted.caption.clone().filter(|caption| !caption.trim().is_empty()),
    };
    if let Some(upload) = app.shelf.upload(id).await.map_err(|error| away(&error))? {
        // A file that a queue's token handed in stays with its queue.
        let is_ours = authority.may_send(&upload.owner) && upload.owner.covers(&record.queue);
        let taken = app.shelf.taken_for(id).await.map_err(|error| away(&error))?;
        if !is_ours || taken.is_some_and(|complaint| complaint != record.complaint_id) {
            return Ok(None);
        }
        let enclosure = enclosure(&upload.media_type, upload.size_bytes, upload.filename.as_deref());
        return Ok(Some((enclosure, Some(upload))));
    }
    let known = app.shelf.record(id).await.map_err(|error| away(&error))?;
    let own = known.filter(|known| known.complaint_id == record.complaint_id).map(|known| known.file);
    let stored = own.filter(|file| file.state == AttachmentState::Stored);
    Ok(stored.and_then(|file| {
        let kind = file.detected_media_type.as_deref()?;
        Some((enclosure(kind, file.size_bytes?, file.filename.as_deref()), None))
    }))
}

fn foreign(place: usize) -> Problem {
    let detail = format!(
        "attachments[{place}]: no file of this id may leave with an answer to this complaint; hand it in by POST \
         /v1/attachments, once for each complaint and not longer than 23 hours before"
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

/// Does the channel take this file?
fn fits(channel: &Channel, enclosure: &Enclosure, place: usize) -> Result<(), Problem> {
    let refused = |reason: &str| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("attachments[{place}]: {reason}; nothing was sent"))
    };
    match channel.engine.webhook().and_then(|webhook| webhook.send.as_ref()) {
        Some(send) => send
            .fits(&enclosure.media_type, enclosure.size_bytes, enclosure.caption.as_deref())
            .map_err(|unfit| refused(&unfit.to_string())),
        None if channel.post.as_ref().is_some_and(|post| post.submission.is_some()) => Ok(()),
        None => Err(refused("this channel sends nothing")),
    }
}

/// A letter holds its files.
fn whole(channel: &Channel, enclosures: &[Enclosure]) -> Result<(), Problem> {
    let is_letter = channel.engine.webhook().is_none_or(|webhook| webhook.send.is_none());
    let size: u64 = enclosures.iter().map(|enclosure| enclosure.size_bytes).sum();
    if is_letter && size > ENCLOSED.as_u64() {
        let detail = format!("attachments: a letter takes files of {ENCLOSED} in all, and these are {size} bytes");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

/// Outside the provider's window only a template leaves, which has no files.
async fn in_time(app: &App, channel: &Channel, record: &ComplaintRecord) -> Result<(), Problem> {
    let Some(send) = channel.engine.webhook().and_then(|webhook| webhook.send.as_ref()) else { return Ok(()) };
    let sealed = app.store.vault(&record.reporter_ref).await?;
    let address = sealed.and_then(|sealed| app.vault.open(&record.reporter_ref, &sealed).ok());
    match send.standing(address.and_then(|address| address.heard_at), clock::now()) {
        Standing::Free => Ok(()),
        Standing::Template | Standing::Held { .. } => {
            let detail = "attachments: the citizen wrote too long ago, and the provider takes files only for a time after \
                          their last message; send the words alone, or wait until they write";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
    }
}

fn away(error: &std::io::Error) -> Problem {
    tracing::error!(%error, "a file cannot be read");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the files cannot be read; the gateway's log says why")
}
