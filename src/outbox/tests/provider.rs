//! A provider on the loopback that answers as it is told and remembers what it was sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, time::Instant};

use super::locked;

type Answer = (u16, Option<&'static str>, String);

#[derive(Default)]
struct Memory {
    answers: VecDeque<Answer>,
    keys: Vec<String>,
    bodies: Vec<Bytes>,
    times: Vec<Instant>,
    tokens: u32,
    /// The token that is taken.
    valid: u32,
    /// How long an answer of `/send` takes.
    delay: Duration,
}

pub(super) struct Provider {
    pub base: String,
    memory: Arc<Mutex<Memory>>,
}

impl Provider {
    pub async fn start() -> Self {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let silent = || async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            StatusCode::OK
        };
        let app = Router::new()
            .route("/send", post(send))
            .route("/silent", post(silent))
            .route("/token", post(token))
            .route("/guarded", post(guarded))
            .with_state(Arc::clone(&memory));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base: format!("http://{address}"), memory }
    }

    /// What the next requests get: status and `Retry-After`. Behind them 200.
    pub fn answers<const N: usize>(&self, answers: [(u16, Option<&'static str>); N]) {
        locked(&self.memory).answers.extend(answers.map(|(status, after)| (status, after, String::new())));
    }

    pub fn answers_with(&self, status: u16, body: &str) {
        locked(&self.memory).answers.push_back((status, None, body.to_owned()));
    }

    pub fn slow_down(&self, delay: Duration) {
        locked(&self.memory).delay = delay;
    }

    /// Idempotency keys in the order in which they came.
    pub fn keys(&self) -> Vec<String> {
        locked(&self.memory).keys.clone()
    }

    /// What they held.
    pub fn bodies(&self) -> Vec<String> {
        locked(&self.memory).bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
    }

    /// When the requests came.
    pub fn times(&self) -> Vec<Instant> {
        locked(&self.memory).times.clone()
    }

    pub fn tokens(&self) -> u32 {
        locked(&self.memory).tokens
    }

    /// The tokens given so far are worth nothing from now on.
    pub fn withdraw(&self) {
        let mut memory = locked(&self.memory);
        memory.valid = memory.tokens + 1;
    }
}

async fn send(State(memory): State<Arc<Mutex<Memory>>>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (delay, (status, after, body)) = {
        let mut memory = locked(&memory);
        memory.keys.push(key.to_owned());
        memory.bodies.push(body);
        memory.times.push(Instant::now());
        (memory.delay, memory.answers.pop_front().unwrap_or((200, None, String::new())))
    };
    tokio::time::sleep(delay).await;
    let mut response = (StatusCode::from_u16(status).expect("a status"), body).into_response();
    if let Some(after) = after {
        response.headers_mut().insert("retry-after", after.parse().expect("a value"));
    }
    response
}

async fn token(State(memory): State<Arc<Mutex<Memory>>>, headers: HeaderMap) -> Response {
    // c:s3cret
    if headers.get("authorization").is_none_or(|value| value != "Basic YzpzM2NyZXQ=") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut memory = locked(&memory);
    memory.tokens += 1;
    memory.valid = memory.tokens;
    format!(r#"{{"access_token":"t{}","token_type":"bearer","expires_in":3600}}"#, memory.tokens).into_response()
}

async fn guarded(State(memory): State<Arc<Mutex<Memory>>>, headers: HeaderMap) -> StatusCode {
    let valid = format!("Bearer t{}", locked(&memory).valid);
    let given = headers.get("authorization").and_then(|value| value.to_str().ok());
    if given == Some(valid.as_str()) { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}
