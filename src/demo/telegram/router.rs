//! The Bot API over HTTP: calls at `/bot<token>/<method>`, files at `/file/bot<token>/<path>`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::{Value, json};

use super::{super::parameters::Parameters, BotApi, method::Refusal};
use crate::units::Size;

/// Of a call with its files; the real one takes files of 50 MB.
const LARGEST: Size = Size::mib(60);

pub fn router(api: Arc<BotApi>) -> Router {
    Router::new()
        .route("/bot{token}/{method}", any(call))
        .route("/file/bot{token}/{*path}", get(file))
        .layer(DefaultBodyLimit::max(LARGEST.as_usize()))
        .fallback(|| async { document(Err(Refusal::new(404, "Not Found"))) })
        .with_state(api)
}

async fn call(
    State(api): State<Arc<BotApi>>,
    Path((token, method)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if token != api.token {
        return document(Err(Refusal::new(401, "Unauthorized")));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parameters = match Parameters::read(query.as_deref(), content_type, body).await {
        Ok(parameters) => parameters,
        Err(reason) => return document(Err(Refusal::new(400, &format!("Bad Request: {reason}")))),
    };
    if method.eq_ignore_ascii_case("getUpdates") {
        return document(api.fetch_updates(&parameters).await);
    }
    if let Err(refusal) = api.fetch_files(&method, &mut parameters).await {
        return document(Err(refusal));
    }
    document(api.call(&method, &parameters))
}

async fn file(State(api): State<Arc<BotApi>>, Path((token, path)): Path<(String, String)>) -> Response {
    if token != api.token {
        return document(Err(Refusal::new(401, "Unauthorized")));
    }
    match api.file_at(&path) {
        // As the real one, which says nothing of the type.
        Some(file) => ([(header::CONTENT_TYPE, "application/octet-stream")], file.bytes.clone()).into_response(),
        None => document(Err(Refusal::new(404, "Not Found"))),
    }
}

fn document(answer: Result<Value, Refusal>) -> Response {
    match answer {
        Ok(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        Err(Refusal { code, description, retry_after }) => {
            let mut document = json!({ "ok": false, "error_code": code, "description": description });
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
            let Some(seconds) = retry_after else { return (status, Json(document)).into_response() };
            document["parameters"] = json!({ "retry_after": seconds });
            (status, [(header::RETRY_AFTER, seconds.to_string())], Json(document)).into_response()
        }
    }
}
