//! The Graph API over HTTP. The version in the path may be any: versions come and go, the calls stay.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::{super::parameters::Parameters, GraphApi, error::GraphError};
use crate::units::Size;

/// Of a call with its file.
const LARGEST: Size = Size::mib(101);

pub fn router(api: Arc<GraphApi>) -> Router {
    Router::new()
        .route("/media/{ticket}", get(download))
        .route("/{version}/{object}", get(describe))
        .route("/{version}/{number}/messages", post(send))
        .route("/{version}/{number}/media", post(upload))
        .layer(DefaultBodyLimit::max(LARGEST.as_usize()))
        .fallback(|| async { answer(Err(GraphError::invalid("Unsupported request"))) })
        .with_state(api)
}

/// Is the call one of ours, with a version and a token that is good?
fn check(api: &GraphApi, version: &str, headers: &HeaderMap) -> Result<(), GraphError> {
    let digits = version.strip_prefix('v').and_then(|version| version.parse::<f32>().ok());
    digits.ok_or_else(|| GraphError::invalid("Unknown path components"))?;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let is_good = bool::from(token.as_bytes().ct_eq(api.app.access_token.as_bytes()));
    if is_good && !api.switches().is_token_expired { Ok(()) } else { Err(GraphError::token()) }
}

fn check_number(api: &GraphApi, number: &str) -> Result<(), GraphError> {
    if api.app.numbers.contains_key(number) { Ok(()) } else { Err(GraphError::unknown_object(number)) }
}

async fn send(
    State(api): State<Arc<GraphApi>>,
    Path((version, number)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(error) = check(&api, &version, &headers).and_then(|()| check_number(&api, &number)) {
        return answer(Err(error));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(body) => answer(api.message(&number, &body).await),
        Err(_) => answer(Err(GraphError::invalid("The body is no JSON"))),
    }
}

async fn describe(
    State(api): State<Arc<GraphApi>>,
    Path((version, object)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let described = check(&api, &version, &headers).and_then(|()| match api.app.numbers.get(&object) {
        Some(shown) => Ok(json!({
            "verified_name": "Lapor Kota Contoh", "display_phone_number": shown, "quality_rating": "GREEN", "id": object,
        })),
        None => api.describe_media(&object),
    });
    answer(described)
}

async fn upload(
    State(api): State<Arc<GraphApi>>,
    Path((version, number)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(error) = check(&api, &version, &headers).and_then(|()| check_number(&api, &number)) {
        return answer(Err(error));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match Parameters::read(None, content_type, body).await {
        Ok(parameters) => answer(api.upload(parameters.upload("file"), parameters.text("type").as_deref())),
        Err(reason) => answer(Err(GraphError::invalid(reason))),
    }
}

/// The place of a file: for whoever has the token, as long as it is good.
async fn download(State(api): State<Arc<GraphApi>>, Path(ticket): Path<String>, headers: HeaderMap) -> Response {
    if let Err(error) = check(&api, "v0.0", &headers) {
        return answer(Err(error));
    }
    match api.at_place(&ticket) {
        Some(file) => ([(header::CONTENT_TYPE, file.media_type.clone())], file.bytes.clone()).into_response(),
        // What the real place answers when its time is over is not published.
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(answer: Result<Value, GraphError>) -> Response {
    match answer {
        Ok(document) => Json(document).into_response(),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, Json(error.document())).into_response()
        }
    }
}
