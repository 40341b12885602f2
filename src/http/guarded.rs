//! Requests to places that strangers name: files. The name is looked up once, every address of it is held against the ranges
//! that are nobody's in particular, and the connection goes to one of those very addresses. So a name that answers
//! differently the second time (DNS rebinding) gains nothing.
//!
//! No proxy is used, as it would look the name up again; nothing is decompressed; no redirect is followed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::{
    Client, Method, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use super::{Http, HttpError, cause, classify, header_map, kept_headers};
use crate::{adapter::webhook::send::Outgoing, network::Reach};

/// For the lookup of a name.
const LOOKUP: Duration = Duration::from_secs(5);

/// Looks a name up.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// A client for files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guarded {
    public: Client,
    private: Client,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Opened {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    response: reqwest::Response,
    shown: String,
}

struct Checked {
    lookup: Lookup,
    least: Reach,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, least, name) = (Arc::clone(&self.lookup), self.least, name.as_str().to_owned());
        Box::pin(async move {
            let found = tokio::time::timeout(LOOKUP, lookup(name)).await;
            let found =
                found.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the name is not found in time"))??;
            // One bad address among good ones is a trick, or a mistake that may lead anywhere.
            if found.iter().any(|address| Reach::of(*address) < least) {
                return Err(io::Error::other(OUT_OF_BOUNDS).into());
            }
            // The port is the URL's.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

const OUT_OF_BOUNDS: &str = "the host is at an address where no file is fetched";

fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

impl Guarded {
    /// Fails only when the trust store of the system cannot be read.
    pub fn new() -> Result<Self, HttpError> {
        Self::with_lookup(&system())
    }

    /// With another way to look names up.
    pub fn with_lookup(lookup: &Lookup) -> Result<Self, HttpError> {
        let client = |least| {
            let resolver = Checked { lookup: Arc::clone(lookup), least };
            Http::build(|builder| {
                let builder = builder.no_proxy().gzip(false).dns_resolver(Arc::new(resolver));
                // A file may take longer than an answer: whoever reads it keeps the time.
                builder.timeout(Duration::from_hours(1)).https_only(least == Reach::Public)
            })
        };
        Ok(Self { public: client(Reach::Public)?.client, private: client(Reach::Private)?.client })
    }

    /// Sends the request and returns with the head of the answer. `least` is [`Reach::Private`] where the operator allows
    /// addresses of our own networks. The caller bounds the time.
    pub async fn open(&self, outgoing: &Outgoing, least: Reach) -> Result<Opened, HttpError> {
        let shown = format!("{} {}", outgoing.method, outgoing.shown);
        let not_sent = |reason: &str| HttpError::NotSent { shown: shown.clone(), reason: reason.to_owned() };
        let url = Url::parse(&outgoing.url).map_err(|_| not_sent("the URL is none"))?;
        // An address in the URL is looked up by nobody.
        let literal = url.host_str().map(|host| host.trim_matches(['[', ']'])).and_then(|host| host.parse().ok());
        if literal.is_some_and(|address: IpAddr| Reach::of(address) < least) {
            return Err(not_sent(OUT_OF_BOUNDS));
        }
        let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| not_sent("the method is none"))?;
        let mut headers = header_map(&outgoing.headers).map_err(|reason| not_sent(&reason))?;
        headers.insert("accept-encoding", reqwest::header::HeaderValue::from_static("identity"));
        let client = if least == Reach::Public { &self.public } else { &self.private };
        let request = client.request(method, url).headers(headers).body(outgoing.body.clone());
        let response = request.send().await.map_err(|error| classify(&error, &shown))?;
        let (status, headers) = (response.status().as_u16(), kept_headers(response.headers()));
        Ok(Opened { status, headers, response, shown })
    }
}

impl Opened {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The next piece of the body, None at its end. The caller bounds the time.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.response.chunk().await.map_err(|error| HttpError::Unknown {
            shown: self.shown.clone(),
            reason: format!("the file broke off, {}", cause(&error)),
        })
    }
}
