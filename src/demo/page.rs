//! The demonstration's page: phones on the left, queues on the right. One file, no foreign host.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{mailbox, provider::Provider};
use crate::server::App;

const PAGE: &str = include_str!("page.html");
/// Most characters that a phone on the page sends.
const LONGEST: usize = 1600;

#[derive(Clone)]
struct World {
    provider: Arc<Provider>,
    app: Arc<App>,
}

#[derive(Deserialize)]
struct Typed {
    phone: String,
    text: String,
}

/// The page, what it asks for, and the provider's own API for answers.
pub fn router(provider: Arc<Provider>, app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/state", get(state))
        .route("/phone", post(phone))
        .route("/2010-04-01/Accounts/{account}/Messages.json", post(take))
        .with_state(World { provider, app })
}

/// A citizen presses send. Works without JavaScript too: the answer leads back to the page.
async fn phone(State(world): State<World>, Form(typed): Form<Typed>) -> Response {
    let is_number =
        typed.phone.len() <= 20 && typed.phone.chars().all(|letter| letter.is_ascii_digit() || letter == '+');
    let is_address = typed.phone.len() <= 200 && typed.phone.contains('@');
    let text: String = typed.text.chars().take(LONGEST).collect();
    if !(is_number || is_address) || text.trim().is_empty() {
        return (StatusCode::BAD_REQUEST, "write a number or a mail address, and a text").into_response();
    }
    let sent = if is_address {
        let subject: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
        mailbox::write(&world.provider, &typed.phone, &subject, &text).await
    } else {
        world.provider.deliver(&typed.phone, &text).await.map(|status| status.to_string())
    };
    match sent {
        Ok(_) => Redirect::to("/").into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn take(State(world): State<World>, Form(fields): Form<BTreeMap<String, String>>) -> Response {
    let document = world.provider.take(&fields).await;
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// Bubbles and queue entries.
async fn state(State(world): State<World>) -> Json<Value> {
    let store = &world.app.store;
    let mut entries = Vec::new();
    for queue in store.queues(crate::clock::now()).await.unwrap_or_default() {
        for delivery in store.peek(&queue.name, None, 200).await.unwrap_or_default() {
            let event: Value = serde_json::from_str(&delivery.event).unwrap_or_default();
            entries.push(json!({ "queue": queue.name, "event": event }));
        }
    }
    Json(json!({ "bubbles": world.provider.bubbles(), "entries": entries }))
}
