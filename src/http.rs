//! Requests that leave the gateway: the one place with a client, its time-outs and its limits.
//!
//! In: a request that an adapter composed, or a URL of the configuration. Out: the answer, bounded, or an error that says
//! whether the request may have left. It follows no redirect, so that a credential never reaches a host that the manifest
//! does not name, and shows no URL but the redacted one. Proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`) are honoured.

use std::{error::Error, io, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use reqwest::{
    Body, Client, ClientBuilder, Method, RequestBuilder,
    header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use crate::{
    adapter::webhook::send::{Outgoing, Response},
    units::Size,
};

pub mod guarded;
pub mod objects;

/// Name, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(5);

/// From the first byte of ours to the last of theirs.
const TOTAL: Duration = Duration::from_secs(15);

/// The same for a request with a file. With what an answer may take before it, it is within the lease of the answer.
const WITH_FILE: Duration = Duration::from_secs(35);

/// Most bytes of an answer that are read. Behind them the connection is closed.
const ANSWER: Size = Size::kib(64);

/// Most headers of an answer that are kept.
const HEADERS: usize = 100;

/// Why there is no answer. Each variant is a decision of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request did not leave: it is safe to repeat.
    #[error("{shown}: not sent, {reason}")]
    NotSent { shown: String, reason: String },
    /// The request may have left, and what became of it is not known.
    #[error("{shown}: no answer, {reason}")]
    Unknown { shown: String, reason: String },
    /// The answer is larger than the caller can use.
    #[error("{shown}: the answer is larger than {limit}")]
    TooLarge { shown: String, limit: Size },
}

impl HttpError {
    /// May the other side have done what was asked?
    pub fn may_have_left(&self) -> bool {
        !matches!(self, Self::NotSent { .. })
    }
}

/// The bytes of a file that is sent.
pub struct FileBody {
    pub size: u64,
    pub pieces: BoxStream<'static, io::Result<Bytes>>,
}

impl std::fmt::Debug for FileBody {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "FileBody({} bytes)", self.size)
    }
}

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

impl Http {
    /// Fails only when the trust store of the system cannot be read.
    pub fn new() -> Result<Self, HttpError> {
        Self::build(|builder| builder)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the module that makes the client")]
    fn build(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Self, HttpError> {
        let builder = Client::builder()
            .user_agent(concat!("loket/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(64)
            // An answer that names where we came from tells others about us.
            .referer(false);
        let client = change(builder).build();
        let shown = "http client".to_owned();
        client.map(|client| Self { client }).map_err(|error| HttpError::NotSent { shown, reason: cause(&error) })
    }

    /// A client for the gateway on this machine: no proxy learns its token.
    pub fn local() -> Result<Self, HttpError> {
        Self::build(ClientBuilder::no_proxy)
    }

    /// The same with another time for the whole exchange, as long as simulated providers wait.
    pub fn local_within(total: Duration) -> Result<Self, HttpError> {
        Self::build(|builder| builder.no_proxy().timeout(total))
    }

    /// A client for tests on the loopback, with other time-outs and no proxy.
    #[cfg(test)]
    pub(crate) fn for_tests(total: Duration) -> Self {
        Self::build(|builder| builder.no_proxy().timeout(total)).expect("a client")
    }

    /// Sends what an adapter composed. An answer longer than 64 KiB is cut off there: its status stands all the same.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response, HttpError> {
        self.send_for(outgoing, ANSWER).await.map(|(response, _)| response)
    }

    /// The same for an answer that has to be whole.
    pub async fn ask(&self, outgoing: Outgoing, limit: Size) -> Result<Response, HttpError> {
        let shown = format!("{} {}", outgoing.method, outgoing.shown);
        let (response, is_whole) = self.send_for(outgoing, limit).await?;
        if is_whole { Ok(response) } else { Err(HttpError::TooLarge { shown, limit }) }
    }

    /// The same for a question that the other side answers when there is something to say: `patience` takes the place of the
    /// usual time from the first byte to the last.
    pub async fn wait(&self, outgoing: Outgoing, limit: Size, patience: Duration) -> Result<Response, HttpError> {
        let shown = format!("{} {}", outgoing.method, outgoing.shown);
        let request = self.request(outgoing, &shown)?.timeout(patience);
        let (response, is_whole) = self.exchange(request, &shown, limit).await?;
        if is_whole { Ok(response) } else { Err(HttpError::TooLarge { shown, limit }) }
    }

    /// The client itself, for a library that speaks a provider's API. What its errors show is for whoever calls it to cover:
    /// [`why`] says the same without a URL.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sends a request whose body is followed by the bytes of a file and by `tail`. The file is never in memory as a whole.
    pub async fn send_file(&self, outgoing: Outgoing, file: FileBody, tail: Vec<u8>) -> Result<Response, HttpError> {
        let shown = format!("{} {}", outgoing.method, outgoing.shown);
        let not_sent = |reason: &str| HttpError::NotSent { shown: shown.clone(), reason: reason.to_owned() };
        let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| not_sent("the method is none"))?;
        let mut headers = header_map(&outgoing.headers).map_err(|reason| not_sent(&reason))?;
        let length = outgoing.body.len() as u64 + file.size + tail.len() as u64;
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let around = |bytes: Vec<u8>| stream::once(async { Ok::<_, io::Error>(Bytes::from(bytes)) });
        let body = around(outgoing.body).chain(file.pieces).chain(around(tail));
        let request = self.client.request(method, &outgoing.url).headers(headers).timeout(WITH_FILE);
        let sent = self.exchange(request.body(Body::wrap_stream(body)), &shown, ANSWER).await;
        sent.map(|(response, _)| response)
    }

    async fn send_for(&self, outgoing: Outgoing, limit: Size) -> Result<(Response, bool), HttpError> {
        let shown = format!("{} {}", outgoing.method, outgoing.shown);
        let request = self.request(outgoing, &shown)?;
        self.exchange(request, &shown, limit).await
    }

    fn request(&self, outgoing: Outgoing, shown: &str) -> Result<RequestBuilder, HttpError> {
        let not_sent = |reason: &str| HttpError::NotSent { shown: shown.to_owned(), reason: reason.to_owned() };
        let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| not_sent("the method is none"))?;
        let headers = header_map(&outgoing.headers).map_err(|reason| not_sent(&reason))?;
        Ok(self.client.request(method, &outgoing.url).headers(headers).body(outgoing.body))
    }

    /// Fetches a document that the configuration names (a certificate, a key set): status 200, at most `limit` bytes.
    pub async fn fetch(&self, url: &str, limit: Size) -> Result<Vec<u8>, HttpError> {
        let shown = format!("GET {}", url.split(['?', '#']).next().unwrap_or_default());
        let (response, is_whole) = self.exchange(self.client.get(url), &shown, limit).await?;
        if response.status != 200 {
            return Err(HttpError::Unknown { shown, reason: format!("the status is {}", response.status) });
        }
        if is_whole { Ok(response.body) } else { Err(HttpError::TooLarge { shown, limit }) }
    }

    /// The answer, and whether all of it was read.
    async fn exchange(&self, request: RequestBuilder, shown: &str, limit: Size) -> Result<(Response, bool), HttpError> {
        let mut response = request.send().await.map_err(|error| classify(&error, shown))?;
        let status = response.status().as_u16();
        let headers = kept_headers(response.headers());
        let mut body = Vec::new();
        // A body that breaks off behind a good status is no failed request: the adapter judges what came.
        let is_whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = limit.as_usize() - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break false;
                    }
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Ok((Response { status, headers, body }, is_whole))
    }
}

/// A line break in a value is refused here as well, should an adapter have let it through.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is none".to_owned())?;
        let value = HeaderValue::from_bytes(value.as_bytes());
        let mut value = value.map_err(|_| format!("the value of the header {name} is none"))?;
        // Many are credentials: none is printed, and HTTP/2 keeps none in its table.
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().take(HEADERS).map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Only an error while connecting, or before, says that nothing left.
fn classify(error: &reqwest::Error, shown: &str) -> HttpError {
    let shown = shown.to_owned();
    if error.is_builder() {
        return HttpError::NotSent { shown, reason: "the URL or a header cannot be sent".to_owned() };
    }
    if error.is_connect() {
        let reason = if error.is_timeout() { "connecting took too long".to_owned() } else { cause(error) };
        return HttpError::NotSent { shown, reason };
    }
    let reason = if error.is_timeout() { "it took too long".to_owned() } else { cause(error) };
    HttpError::Unknown { shown, reason }
}

/// Why there is no answer, without a URL.
pub fn why(error: &reqwest::Error) -> String {
    match classify(error, "") {
        HttpError::NotSent { reason, .. } => format!("not sent, {reason}"),
        HttpError::Unknown { reason, .. } => format!("no answer, {reason}"),
        HttpError::TooLarge { .. } => "no answer".to_owned(),
    }
}

/// The innermost cause. The client's own words would show the URL; the causes behind them do not.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: Option<&dyn Error> = error.source();
    while let Some(source) = innermost.and_then(Error::source) {
        innermost = Some(source);
    }
    innermost.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, response::Redirect, routing::any};
    use tokio::net::TcpListener;

    use super::*;

    /// A provider on the loopback.
    async fn provider() -> String {
        let large = || async { axum::body::Body::from(vec![b'x'; 200 << 10]) };
        let slow = || async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK
        };
        let echo = |headers: HeaderMap, body: String| async move {
            let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
            (StatusCode::CREATED, [("x-seen", header("x-key"))], format!("{} {body}", header("user-agent")))
        };
        let app = Router::new()
            .route("/echo", any(echo))
            .route("/large", any(large))
            .route("/slow", any(slow))
            .route("/elsewhere", any(|| async { Redirect::temporary("http://127.0.0.1:1/stolen") }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    fn post(url: String) -> Outgoing {
        Outgoing {
            method: "POST".to_owned(),
            shown: "https://api.example/{{ secret.token }}".to_owned(),
            url,
            headers: vec![("X-Key".to_owned(), "k".to_owned())],
            body: b"halo".to_vec(),
        }
    }

    fn http() -> Http {
        Http::for_tests(Duration::from_secs(5))
    }

    #[tokio::test]
    async fn an_answer_comes_back_with_its_headers() {
        let base = provider().await;
        let response = http().send(post(format!("{base}/echo"))).await.expect("an answer");
        assert_eq!(response.status, 201);
        assert!(response.headers.contains(&("x-seen".to_owned(), "k".to_owned())));
        let expected = format!("loket/{} halo", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8_lossy(&response.body), expected);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let base = provider().await;
        let response = http().send(post(format!("{base}/elsewhere"))).await.expect("an answer");
        assert_eq!(response.status, 307);
    }

    #[tokio::test]
    async fn a_large_answer_is_cut_off() {
        let base = provider().await;
        let response = http().send(post(format!("{base}/large"))).await.expect("an answer");
        assert_eq!((response.status, response.body.len()), (200, 64 << 10));
        let error = http().fetch(&format!("{base}/large?key=s3cret"), Size::kib(64)).await.expect_err("too large");
        assert!(matches!(error, HttpError::TooLarge { .. }) && !error.to_string().contains("s3cret"), "{error}");
        let document = http().fetch(&format!("{base}/large"), Size::kib(200)).await.expect("it fits exactly");
        assert_eq!(document.len(), 200 << 10);
    }

    #[tokio::test]
    async fn a_refused_connection_is_not_sent_and_a_silent_one_is_unknown() {
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let error = http().send(post(format!("http://{closed}/bots3cret"))).await.expect_err("refused");
        assert!(!error.may_have_left(), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(error.to_string().contains("https://api.example/{{ secret.token }}"), "{error}");

        let base = provider().await;
        let hasty = Http::for_tests(Duration::from_millis(200));
        let error = hasty.send(post(format!("{base}/slow?token=s3cret"))).await.expect_err("silent");
        assert!(error.may_have_left(), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_before_the_answer_is_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut bytes = [0; 16];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await;
        });
        let error = http().send(post(format!("http://{address}/"))).await.expect_err("broken");
        assert!(error.may_have_left(), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_not_sent() {
        for (name, value) in [("X-Key", "a\r\nX-Evil: 1"), ("X Key", "a")] {
            let mut outgoing = post("http://127.0.0.1:1/".to_owned());
            outgoing.headers = vec![(name.to_owned(), value.to_owned())];
            let error = http().send(outgoing).await.expect_err("refused");
            assert!(!error.may_have_left() && !error.to_string().contains("Evil"), "{error}");
        }
        let error = http().send(post("no url".to_owned())).await.expect_err("refused");
        assert!(!error.may_have_left(), "{error}");
    }
}
