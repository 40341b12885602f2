//! The demonstration's page: a phone with four tabs on the left, queues on the right. One file, no foreign host.
//!
//! In: what a visitor does as a citizen ([`act`]). Out: every chat and every queue as one document, and the pictures of both.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Form, Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{PHOTO, Providers, chatter::Chatter, files::File, phones::Bubble};
use crate::{complaint::AttachmentState, media::kind, server::App, units::Size};

mod act;

const PAGE: &str = include_str!("page.html");
/// Of what a visitor sends, with a file.
const LARGEST: Size = Size::mib(17);
/// Events of a queue that are shown.
const MOST_EVENTS: usize = 200;

#[derive(Clone)]
struct World {
    providers: Arc<Providers>,
    app: Arc<App>,
}

/// The chat that a visitor looks at.
#[derive(Deserialize)]
struct Looking {
    #[serde(default)]
    channel: String,
    #[serde(default)]
    who: String,
}

/// The page, what it asks for, and the API of the provider of SMS for answers.
pub fn router(providers: Arc<Providers>, app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/state", get(state))
        .route("/act", post(act::act).layer(DefaultBodyLimit::max(LARGEST.as_usize())))
        .route("/file/{channel}/{id}", get(file))
        .route("/stored/{id}", get(stored))
        .route("/sample.jpg", get(|| async { picture(Body::from(PHOTO), "image/jpeg") }))
        .route("/2010-04-01/Accounts/{account}/Messages.json", post(take))
        .with_state(World { providers, app })
}

async fn take(State(world): State<World>, Form(fields): Form<BTreeMap<String, String>>) -> Response {
    let document = world.providers.sms.take(&fields).await;
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// Chats and queue entries. Whoever asks with an open chat reads it.
async fn state(State(world): State<World>, Query(looking): Query<Looking>) -> Json<Value> {
    if looking.channel == "whatsapp" && act::is_phone(&looking.who) {
        Chatter::whatsapp(&world.providers, &looking.who, "Warga").reads();
    }
    Json(json!({ "chats": chats(&world.providers), "entries": entries(&world.app).await }))
}

/// By channel and by who has the phone.
fn chats(providers: &Providers) -> Value {
    let (mail, sms): (Vec<_>, Vec<_>) =
        providers.sms.phones.all().into_iter().partition(|(name, _)| name.contains('@'));
    let named = |chats: Vec<(String, Vec<Bubble>)>| {
        let chats = chats.into_iter().filter(|(_, bubbles)| !bubbles.is_empty());
        chats.map(|(name, bubbles)| (name, json!(bubbles))).collect::<Map<_, _>>()
    };
    let whatsapp = providers.whatsapp.phones().all().into_iter();
    // Behind the number of the business stands the phone number, in digits.
    let whatsapp =
        whatsapp.map(|(name, bubbles)| (format!("+{}", name.rsplit('/').next().unwrap_or_default()), bubbles));
    json!({
        "sms": named(sms),
        "mail": named(mail),
        "telegram": named(providers.telegram.phones().all()),
        "whatsapp": named(whatsapp.collect()),
    })
}

/// The events of all queues, each complaint with what became of its files.
async fn entries(app: &App) -> Vec<Value> {
    let mut events = Vec::new();
    for queue in app.store.queues(crate::clock::now()).await.unwrap_or_default() {
        for delivery in app.store.peek(&queue.name, None, MOST_EVENTS).await.unwrap_or_default() {
            let event: Value = serde_json::from_str(&delivery.event).unwrap_or_default();
            events.push((queue.name.clone(), event));
        }
    }
    let mut latest = BTreeMap::new();
    for (_, event) in &events {
        for file in event["data"]["attachments"].as_array().into_iter().flatten() {
            let id = file["attachment_id"].as_str().unwrap_or_default().to_owned();
            let is_final = file["state"] != "pending";
            if is_final || !latest.contains_key(&id) {
                latest.insert(id, file.clone());
            }
        }
    }
    let files = |event: &Value| {
        let files = event["data"]["attachments"].as_array().into_iter().flatten();
        let files = files.filter_map(|file| latest.get(file["attachment_id"].as_str()?).map(shown));
        files.collect::<Vec<_>>()
    };
    events.iter().map(|(queue, event)| json!({ "queue": queue, "event": event, "files": files(event) })).collect()
}

/// A file of a complaint, as the page shows it.
fn shown(file: &Value) -> Value {
    let detected = file["detected_media_type"].as_str().unwrap_or_default();
    let is_picture = file["state"] == "stored" && kind::is_picture(detected);
    json!({
        "id": file["attachment_id"], "state": file["state"], "reason": file["reject_reason"],
        "media_type": if detected.is_empty() { file["media_type"].as_str() } else { Some(detected) },
        "size": file["size_bytes"], "is_picture": is_picture,
    })
}

/// A file in a bubble, from the simulated provider that keeps it. Only pictures are shown.
async fn file(State(world): State<World>, Path((channel, id)): Path<(String, String)>) -> Response {
    let files = match channel.as_str() {
        "telegram" => world.providers.telegram.stored(),
        "whatsapp" => world.providers.whatsapp.stored(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match files.find(&id).as_deref() {
        Some(File { bytes, media_type, .. }) if kind::is_picture(media_type) => {
            picture(Body::from(bytes.clone()), media_type)
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A picture that the gateway has stored.
async fn stored(State(world): State<World>, Path(id): Path<Uuid>) -> Response {
    let Ok(Some(record)) = world.app.shelf.record(id).await else { return StatusCode::NOT_FOUND.into_response() };
    let media_type = record.file.detected_media_type.unwrap_or_default();
    if record.file.state != AttachmentState::Stored || !kind::is_picture(&media_type) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match world.app.shelf.bytes(id).await {
        Ok(Some(opened)) => picture(Body::from_stream(opened.pieces), &media_type),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A browser paints it and runs nothing of it.
fn picture(body: Body, media_type: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    (headers, body).into_response()
}
