//! Asks a running gateway, at the address and with the token of the configuration.

use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{
    adapter::webhook::send::{Outgoing, Response},
    config::{self, Resolved},
    http::Http,
    units::Size,
};

use super::{Ending, output};

/// Most bytes of an answer.
const ANSWER: Size = Size::mib(256);

/// A connection to the gateway that the configuration names.
#[derive(Debug)]
pub struct Gateway {
    runtime: tokio::runtime::Runtime,
    client: Http,
    base: String,
    token: Option<secrecy::SecretString>,
}

/// The configuration, or its mistakes on standard error.
pub fn configuration() -> Result<Resolved, Ending> {
    config::load(&config::config_dir(), &config::environment).map_err(|mistakes| {
        output::diagnostics(&mistakes, false);
        Ending::Failed
    })
}

impl Gateway {
    pub fn connect() -> Result<Self, Ending> {
        let resolved = configuration()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut listen = resolved.config.listen;
        if listen.ip().is_unspecified() {
            // Listening everywhere is listening here too.
            listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let token = resolved.tokens.into_iter().next().map(|token| token.value);
        Ok(Self { runtime, client: Http::local()?, base: format!("http://{listen}"), token })
    }

    pub fn get(&self, path: &str) -> Result<Value, Ending> {
        self.request("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Ending> {
        self.request("POST", path, Some(body))
    }

    /// 200 at `/healthz`.
    pub fn is_alive(&self) -> Result<(), Ending> {
        let status = self.send("GET", "/healthz", None)?.status;
        if status == 200 { Ok(()) } else { Err(Ending::Error(anyhow::anyhow!("/healthz answers {status}"))) }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Ending> {
        read(&self.send(method, path, body)?)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, Ending> {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        if let Some(token) = &self.token {
            headers.push(("authorization".to_owned(), format!("Bearer {}", token.expose_secret())));
        }
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let url = format!("{}{path}", self.base);
        let outgoing = Outgoing { method: method.to_owned(), shown: url.clone(), url, headers, body };
        let answer = self.runtime.block_on(self.client.ask(outgoing, ANSWER));
        answer.map_err(|error| {
            let hint = "is `loket serve` running with this configuration?";
            Ending::Error(anyhow::anyhow!("no gateway answers at {}: {error}; {hint}", self.base))
        })
    }
}

/// The document of a good answer, or the words of a problem document.
fn read(answer: &Response) -> Result<Value, Ending> {
    let is_good = (200..300).contains(&answer.status);
    if is_good && answer.body.is_empty() {
        return Ok(Value::Null);
    }
    let document: Value = match serde_json::from_slice(&answer.body) {
        Ok(document) => document,
        Err(error) if is_good => {
            return Err(Ending::Error(anyhow::anyhow!("the answer is no JSON ({error}): is that a gateway?")));
        }
        Err(_) => Value::Null,
    };
    if is_good {
        return Ok(document);
    }
    let detail = document["detail"].as_str().unwrap_or("no reason given");
    Err(Ending::Error(anyhow::anyhow!("the gateway answers {}: {detail}", answer.status)))
}
