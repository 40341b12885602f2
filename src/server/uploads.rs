//! `POST /v1/attachments`: the core hands in a file that an answer is to take along.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{App, authority::Authority, problem::Problem};
use crate::{media::reception::Untaken, percent};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    #[serde(default)]
    filename: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct HandedIn {
    attachment_id: Uuid,
    /// As its bytes say.
    media_type: String,
    size_bytes: u64,
    /// Of what is kept: a picture has lost its metadata.
    sha256: String,
}

pub async fn take(
    State(app): State<Arc<App>>,
    authority: Authority,
    Query(named): Query<Named>,
    request: Request,
) -> Result<(StatusCode, Json<HandedIn>), Problem> {
    let owner = authority.owner()?;
    let headers = request.headers();
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let filename = named.filename.or_else(|| disposed(headers));
    let body = request.into_body().into_data_stream();
    let upload = app.reception.take(body, declared, filename, owner).await.map_err(|untaken| problem(&untaken))?;
    let handed_in = HandedIn {
        attachment_id: upload.attachment_id,
        media_type: upload.media_type,
        size_bytes: upload.size_bytes,
        sha256: upload.sha256,
    };
    Ok((StatusCode::CREATED, Json(handed_in)))
}

fn problem(untaken: &Untaken) -> Problem {
    let status = match untaken {
        Untaken::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Untaken::Empty => StatusCode::BAD_REQUEST,
        Untaken::Type(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Untaken::Malware => StatusCode::UNPROCESSABLE_ENTITY,
        Untaken::Broken => StatusCode::REQUEST_TIMEOUT,
        Untaken::Crowded => StatusCode::SERVICE_UNAVAILABLE,
        Untaken::Ours(reason) => {
            tracing::warn!(%reason, "a file for an answer cannot be taken");
            let detail = "the file cannot be taken now, try again; the gateway's log says why";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        }
    };
    Problem::new(status, untaken.to_string())
}

/// The name in `Content-Disposition` (RFC 6266): `filename*` before `filename`.
fn disposed(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(header::CONTENT_DISPOSITION)?.as_bytes()).into_owned();
    let parameter = |name: &str| {
        let found = value.split(';').skip(1).find_map(|part| {
            let (given, value) = part.split_once('=')?;
            given.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
        });
        found.filter(|value| !value.is_empty())
    };
    let extended = parameter("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, encoded) = rest.split_once('\'')?;
        charset.eq_ignore_ascii_case("utf-8").then(|| percent::decoded(encoded))
    });
    extended.or_else(|| parameter("filename"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(value: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_DISPOSITION, value.try_into().expect("a value"));
        disposed(&headers)
    }

    #[test]
    fn the_name_is_read_as_clients_write_it() {
        for (value, expected) in [
            ("attachment; filename=\"surat tugas.pdf\"", Some("surat tugas.pdf")),
            ("attachment; filename=a.pdf; filename*=UTF-8''jalan%20%C3%A9.pdf", Some("jalan é.pdf")),
            ("attachment; filename*=latin1''x; filename=y.pdf", Some("y.pdf")),
            ("attachment", None),
            ("attachment; filename=\"\"", None),
        ] {
            assert_eq!(named(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(value in proptest::collection::vec(0x20u8..0x7f, 0..100)) {
            let _ = named(&value);
        }
    }
}
