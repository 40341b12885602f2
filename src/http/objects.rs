//! The client for S3-compatible storage: the library makes its requests with ours, so that there is one TLS and one place with
//! limits.
//!
//! The library signs requests and reads answers; nothing here looks into either.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
};
use reqwest::{
    Body,
    header::{ACCEPT_ENCODING, HeaderValue},
};

use super::Http;

/// For a whole request, the bytes of a file among it.
const WHOLE: Duration = Duration::from_mins(4);

/// For an answer to begin, and for each piece of it.
const SILENCE: Duration = Duration::from_secs(30);

/// Makes the library's requests.
#[derive(Clone, Debug)]
pub struct Objects(Http);

impl Objects {
    /// Fails only when the trust store of the system cannot be read.
    pub fn new() -> Result<Self, super::HttpError> {
        Http::build(|builder| builder.timeout(WHOLE).read_timeout(SILENCE)).map(Self)
    }
}

impl HttpConnector for Objects {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Objects {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        // A body that is unpacked on the way has lost its length, which the library reads.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let body = match body.as_bytes() {
            Some(bytes) => Body::from(bytes.clone()),
            None => Body::wrap(body),
        };
        let request = self.0.client.request(parts.method, parts.uri.to_string()).headers(headers);
        let response = request.body(body).send().await.map_err(failed)?;
        let (parts, body) = axum::http::Response::<Body>::from(response).into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(failed))))
    }
}

/// The library repeats what may be repeated.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_builder() {
        HttpErrorKind::Unknown
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}
