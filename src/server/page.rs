//! Pages for people who look at the address in a browser: nothing on them comes from another host.

use std::fmt::Write as _;

use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::Value;

use super::OPENAPI;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code{background:#eee;padding:.1em .3em}h2{margin:2rem 0 0;font-size:1rem}p{margin:.2rem 0}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}code{background:#333}a{color:#8cf}}";

/// No script, no foreign host, no frame.
fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{body}"
    );
    let mut response = Html(html).into_response();
    let headers = response.headers_mut();
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub async fn front() -> Response {
    let body = "<p>Loket takes in public complaints. <a href=/docs>The interface for core systems</a> · \
                <a href=/readyz>readiness</a> · <a href=/metrics>metrics</a></p>";
    page("Loket", body)
}

pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The description as a page, made from `openapi.json` itself.
pub async fn docs() -> Response {
    let document: Value = serde_json::from_str(OPENAPI).unwrap_or_default();
    let mut body = String::from("<p>The same for programs: <a href=/openapi.json>openapi.json</a></p>");
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let text = |key: &str| escaped(operation[key].as_str().unwrap_or_default());
            let (summary, description) = (text("summary"), text("description"));
            let (method, path) = (method.to_uppercase(), escaped(path));
            // Writing to a string cannot fail.
            let _ = write!(body, "<h2><code>{method} {path}</code></h2><p>{summary}</p><p>{description}</p>");
        }
    }
    page("Loket's interface", &body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
