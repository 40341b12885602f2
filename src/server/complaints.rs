//! `/v1/complaints`: the core answers the citizen and tells how the case stands. It never needs an address.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{App, authority::Authority, problem::Problem, queues::body, replies::LONGEST_TEXT};
use crate::{
    acknowledge::outbox_id,
    clock,
    complaint::{Medium, TrackingId, hex},
    mail::token::message_id,
    message::Enclosure,
    store::{ComplaintRecord, LetterHead, OutboxEntry, OutboxKind, StatusChange, Undeliverable},
};

/// How a case can stand; citizens read the label that the locales have for it.
const STATUSES: [&str; 9] = [
    "received",
    "verifying",
    "info_requested",
    "forwarded",
    "in_progress",
    "answered",
    "closed",
    "rejected",
    "withdrawn",
];
#[derive(Debug, Serialize)]
pub struct ReplyAccepted {
    pub(super) reply_id: String,
    /// True when an answer with this key was accepted before; nothing is sent again.
    pub(super) repeated: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    status: String,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    notify: bool,
}

/// A complaint's record, and whether its citizen can be reached.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(flatten)]
    record: ComplaintRecord,
    /// The last bounce of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    undeliverable: Option<Undeliverable>,
}

#[derive(Debug, Serialize)]
pub struct DeadAnswers {
    answers: Vec<DeadAnswer>,
}

/// An answer that was given up on, without its words.
#[derive(Debug, Serialize)]
pub struct DeadAnswer {
    id: String,
    channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    complaint_id: Option<Uuid>,
    attempts: u32,
    created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// By complaint id, or by the tracking id as people type it.
async fn find(app: &App, id: &str) -> Result<ComplaintRecord, Problem> {
    let found = if let Ok(id) = id.parse::<Uuid>() {
        app.store.complaint(id).await?
    } else if let Ok(id) = id.parse::<TrackingId>() {
        app.store.complaint_by_tracking_id(&id).await?
    } else {
        return Err(Problem::bad_request("write a complaint id (UUID) or a tracking id"));
    };
    found.ok_or_else(|| Problem::not_found("no complaint has this id"))
}

/// A queue's token reaches the complaints of its queue.
pub(super) async fn find_for(app: &App, id: &str, authority: &Authority) -> Result<ComplaintRecord, Problem> {
    let record = find(app, id).await;
    match record {
        Ok(record) if authority.core_or_operator().is_ok() || authority.queue(&record.queue).is_ok() => Ok(record),
        // Whoever may not see it learns nothing of its existence.
        Ok(_) => Err(Problem::not_found("no complaint has this id")),
        Err(problem) => Err(problem),
    }
}

pub async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    authority: Authority,
) -> Result<Json<Shown>, Problem> {
    let record = find_for(&app, &id, &authority).await?;
    let undeliverable = app.store.undeliverable(record.complaint_id).await?;
    Ok(Json(Shown { record, undeliverable }))
}

/// An answer that is to be sent.
pub(super) struct Answer<'a> {
    /// The same for the same answer.
    pub cause: &'a str,
    pub kind: OutboxKind,
    pub text: String,
    pub enclosures: Vec<Enclosure>,
}

/// The id of the answer with this cause.
pub(super) fn answer_id(cause: &str) -> String {
    hex(&digest::digest(&digest::SHA256, cause.as_bytes()).as_ref()[..16])
}

pub(super) async fn send(
    app: &App,
    record: &ComplaintRecord,
    answer: Answer<'_>,
) -> Result<(StatusCode, Json<ReplyAccepted>), Problem> {
    if !record.replyable {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "this reporter cannot be answered: see reply.capabilities of the complaint",
        ));
    }
    let now = clock::now();
    let id = answer_id(answer.cause);
    let entry = OutboxEntry {
        reporter_ref: record.reporter_ref.clone(),
        complaint_id: Some(record.complaint_id),
        text: answer.text,
        language: record.language.clone(),
        head: head(app, record),
        enclosures: answer.enclosures,
        ..OutboxEntry::new(id.clone(), answer.kind, record.channel.clone(), now)
    };
    let added = app.store.outbox_add(entry).await?;
    app.outbox_bell.notify_one();
    Ok((StatusCode::ACCEPTED, Json(ReplyAccepted { reply_id: id, repeated: !added })))
}

/// What an answer by mail stands under: the thread of the letter that acknowledged the complaint.
fn head(app: &App, record: &ComplaintRecord) -> Option<LetterHead> {
    let channels = app.channels.borrow();
    let channel = channels.open(record.channel.as_str()).filter(|channel| channel.facts.medium == Medium::Email)?;
    let id = ("id", record.tracking_id.to_string());
    let subject = app.rules.locales.text("email.ack_subject", &record.language, &[id]);
    let key = app.gateway.reporter_key.get()?;
    let domain = channel.post.as_ref().and_then(|post| post.from.rsplit_once('@')).map(|(_, domain)| domain);
    let acknowledged = outbox_id(&record.channel, &record.event_id);
    let in_reply_to = domain.map(|domain| message_id(key, Some(record.complaint_id), &acknowledged, domain));
    Some(LetterHead { subject: format!("Re: {subject}"), in_reply_to })
}

pub async fn status(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    authority: Authority,
    request: Result<Json<StatusRequest>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let record = find_for(&app, &id, &authority).await?;
    let request = body(request)?;
    if !STATUSES.contains(&request.status.as_str()) {
        let detail = format!("status `{}` is not one of: {}", cut(&request.status), STATUSES.join(", "));
        return Err(Problem::bad_request(detail));
    }
    if request.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_TEXT) {
        return Err(Problem::bad_request(format!("note: at most {LONGEST_TEXT} characters")));
    }
    let now = clock::now();
    let change = StatusChange { status: request.status.clone(), note: request.note.clone(), at: now };
    app.store.add_status(record.complaint_id, change).await?;
    if request.notify && record.replyable {
        let text = notice(&app, &record, &request, now);
        // A repetition of the request says the same at the same place of the list, and is sent once.
        let place = app.store.complaint(record.complaint_id).await?.map_or(0, |record| record.status.len());
        let cause = format!("status\n{}\n{}\n{place}", record.complaint_id, request.status);
        let answer = Answer { cause: &cause, kind: OutboxKind::Reply, text, enclosures: Vec::new() };
        let _accepted = send(&app, &record, answer).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The words in which a citizen reads the new status.
fn notice(app: &App, record: &ComplaintRecord, request: &StatusRequest, now: Timestamp) -> String {
    let channels = app.channels.borrow();
    let is_sms = channels.open(record.channel.as_str()).is_none_or(|channel| channel.facts.medium == Medium::Sms);
    let message = if is_sms { "sms.status" } else { "chat.status" };
    let locales = &app.rules.locales;
    let label = locales.text(&format!("status.labels.{}", request.status), &record.language, &[]);
    let date = now.to_zoned(app.gateway.timezone.clone()).strftime("%d-%m-%Y").to_string();
    let arguments = [
        ("id", record.tracking_id.to_string()),
        ("status", label),
        ("date", date),
        ("agency", app.gateway.organisation.clone()),
    ];
    let mut text = locales.text(message, &record.language, &arguments);
    if let Some(note) = request.note.as_deref().filter(|note| !note.is_empty()) {
        text.push('\n');
        text.push_str(note);
    }
    text
}

fn cut(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}

/// Answers that were given up on.
pub async fn dead_answers(State(app): State<Arc<App>>, authority: Authority) -> Result<Json<DeadAnswers>, Problem> {
    authority.core_or_operator()?;
    let answers = app.store.outbox_dead(1000).await?;
    let answers = answers.into_iter().map(|entry| DeadAnswer {
        id: entry.id,
        channel: entry.channel.to_string(),
        complaint_id: entry.complaint_id,
        attempts: entry.attempts,
        created: entry.created,
        failure: entry.failure,
    });
    Ok(Json(DeadAnswers { answers: answers.collect() }))
}
