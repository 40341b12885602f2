//! Over real sockets; names are looked up in a table, as no name of the outside leads to the loopback.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response as Answer},
    routing::any,
};
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;

use super::*;
use crate::{http::guarded::Lookup, media::shelf::Shelf, network::Reach, units::Size};

/// Every name is this machine.
fn here() -> Lookup {
    Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }))
}

async fn listen(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn outgoing(url: String) -> Outgoing {
    let headers = vec![("authorization".to_owned(), "Bearer s3cret".to_owned())];
    Outgoing { method: "GET".to_owned(), url, shown: "a file".to_owned(), headers, body: Vec::new() }
}

fn hosts() -> Vec<String> {
    vec!["a.example".to_owned(), "b.example".to_owned()]
}

/// One file of at most 1 MiB; its size.
async fn fetched(url: String, allow_private: bool, lookup: &Lookup) -> Result<u64, Failing> {
    let guarded = Guarded::with_lookup(lookup).expect("a client");
    let hosts = hosts();
    let places = Places::new(&hosts, Vec::new(), allow_private);
    let folder = tempfile::tempdir().expect("a folder");
    let shelf = Shelf::open(folder.path().to_owned()).expect("a shelf");
    let (mut draft, scrap) = shelf.draft(Size::mib(1)).expect("a draft");
    let opened = follow(&guarded, outgoing(url), &places).await?;
    save(opened, &mut draft).await?;
    Ok(draft.finish(scrap).await.expect("a file").size)
}

#[tokio::test]
async fn a_credential_goes_to_no_other_host_or_port() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let seen = Arc::clone(&seen);
        move |request: Request| {
            let host = request.headers()[header::HOST].to_str().expect("a host").to_owned();
            let is_signed = request.headers().contains_key(header::AUTHORIZATION);
            seen.lock().expect("a lock").push((host, is_signed));
            async { "file" }
        }
    };
    let other = listen(Router::new().fallback(note.clone())).await;
    let place = move |to: &'static str| {
        let to = to.replace("OTHER", &other.to_string());
        any(move || async move { (StatusCode::FOUND, [(header::LOCATION, to)]) })
    };
    let router = Router::new()
        .route("/same", place("/file"))
        .route("/host", place("http://b.example:OTHER/file"))
        .route("/port", place("http://a.example:OTHER/file"))
        .route("/elsewhere", place("http://c.example:OTHER/file"))
        .route("/loopback", place("http://127.0.0.1:OTHER/file"))
        .route("/file", any(note));
    let port = listen(router).await;
    let expected =
        [("same", Some(true)), ("host", Some(false)), ("port", Some(false)), ("elsewhere", None), ("loopback", None)];
    for (path, signed) in expected {
        let result = fetched(format!("http://a.example:{port}/{path}"), true, &here()).await;
        let hits = std::mem::take(&mut *seen.lock().expect("a lock"));
        assert_eq!(hits.first().map(|(_, is_signed)| *is_signed), signed, "{path}: {result:?}");
        assert_eq!(matches!(result, Err(Failing::Refused(_))), signed.is_none(), "{path}: {result:?}");
    }
}

#[tokio::test]
async fn redirects_come_to_an_end() {
    let router = Router::new()
        .route("/loop", any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/loop")]) }))
        .route("/3", any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/2")]) }))
        .route("/2", any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/1")]) }))
        .route("/1", any(|| async { (StatusCode::FOUND, [(header::LOCATION, "/0")]) }))
        .route("/0", any(|| async { "file" }));
    let port = listen(router).await;
    assert_eq!(fetched(format!("http://a.example:{port}/3"), true, &here()).await, Ok(4));
    let result = fetched(format!("http://a.example:{port}/loop"), true, &here()).await;
    assert!(matches!(result, Err(Failing::Again { .. })), "{result:?}");
}

#[tokio::test]
async fn a_body_is_bounded_whatever_is_said_of_it() {
    let endless = || async {
        Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 << 10]))))
    };
    let bomb = || async { ([(header::CONTENT_ENCODING, "gzip")], Bytes::from_static(b"\x1f\x8b\x08")).into_response() };
    let broken = || async {
        let pieces = stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))]);
        Answer::builder().header(header::CONTENT_LENGTH, 1000).body(Body::from_stream(pieces)).expect("an answer")
    };
    let large = || async {
        let piece = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]).chain(stream::pending());
        Answer::builder().header(header::CONTENT_LENGTH, 5 << 20).body(Body::from_stream(piece)).expect("an answer")
    };
    let router = Router::new()
        .route("/endless", any(endless))
        .route("/bomb", any(bomb))
        .route("/broken", any(broken))
        .route("/large", any(large))
        .route("/gone", any(|| async { StatusCode::NOT_FOUND }));
    let port = listen(router).await;
    let result = |path: &'static str| async move {
        fetched(format!("http://a.example:{port}/{path}"), true, &here()).await.expect_err(path)
    };
    assert_eq!(result("endless").await, Failing::TooLarge);
    assert_eq!(result("large").await, Failing::TooLarge);
    assert!(matches!(result("bomb").await, Failing::Refused(_)));
    assert!(matches!(result("broken").await, Failing::Again { is_gone: false, .. }));
    assert!(matches!(result("gone").await, Failing::Again { is_gone: true, .. }));
}

#[tokio::test]
async fn a_name_that_leads_to_our_network_is_not_connected_to() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    // One address among public ones is enough, and a second answer is never asked for.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(vec![IpAddr::from([9, 9, 9, 9]), IpAddr::from([127, 0, 0, 1])]) })
    });
    let guarded = Guarded::with_lookup(&lookup).expect("a client");
    let opened = guarded.open(&outgoing(format!("https://a.example:{port}/")), Reach::Public).await;
    assert!(!opened.expect_err("refused").may_have_left());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // Addresses in the URL are looked up by nobody, in whatever spelling.
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0177.0.0.1", "169.254.169.254"] {
        let opened = guarded.open(&outgoing(format!("https://{host}:{port}/")), Reach::Public).await;
        assert!(!opened.expect_err("refused").may_have_left(), "{host}");
    }
    let metadata = guarded.open(&outgoing("http://169.254.169.254/".to_owned()), Reach::Private).await;
    assert!(!metadata.expect_err("refused where private addresses are allowed too").may_have_left());
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}
