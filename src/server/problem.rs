//! Errors of the core API: RFC 9457 problem documents.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{journal::JournalError, store::StoreError};

/// An error that a client can read.
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status_code: StatusCode,
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// What is wrong and what to do; no words of a citizen.
    detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status_code: status, kind: "about:blank", title, status: status.as_u16(), detail: detail.into() }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let retry = self.status_code == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = (self.status_code, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        if retry {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store is away; what was accepted is safe, try again",
            );
        }
        tracing::error!(%error, "the store refuses");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the store refuses; the gateway's log says why")
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

pub async fn not_found() -> Problem {
    Problem::not_found("there is nothing at this path; /docs lists what there is")
}

pub async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method; /docs lists what it takes")
}
