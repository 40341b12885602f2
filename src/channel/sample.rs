//! Samples (`channel-manifest.md` §9): real requests with the messages expected. They are the manifest's tests, run when
//! it is loaded, by `loket channel check` and by the test-suite.

use std::{collections::BTreeMap, net::IpAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    Channel, Normaliser,
    attempt::{Knock, Verification, attempt},
    manifest::{ExpectVerify, HeaderValues, Manifest, Sample, SampleSetting},
    open::{self, Keyed, Terms},
    provider::Parts,
    refusal::{self, Derived},
    request_file,
};
use crate::{
    adapter::mail::Mail,
    receipt::{ChannelId, Request, VerdictResult},
    settings::{Setting, Settings},
};

mod compare;

/// What stands for the configured public URL when a sample names none.
const PUBLIC_URL: &str = "https://loket.example";

/// What one sample showed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub name: String,
    /// What was not as expected; empty when the sample passes.
    pub failures: Vec<String>,
    /// Changed requests that were made from it, when it passes verification.
    pub refusals: Vec<Derived>,
}

/// Runs every sample.
pub fn rehearse(
    parts: &Parts<'_>,
    recordings: &BTreeMap<String, Bytes>,
    now: Timestamp,
    normalise: Normaliser,
) -> Vec<Rehearsal> {
    let run = |sample: &Sample| {
        let ran = run(parts, sample, recordings, now, normalise);
        let (failures, refusals) = ran.unwrap_or_else(|reasons| (reasons, Vec::new()));
        Rehearsal { name: sample.name.clone(), failures, refusals }
    };
    parts.manifest.samples.iter().map(run).collect()
}

fn run(
    parts: &Parts<'_>,
    sample: &Sample,
    recordings: &BTreeMap<String, Bytes>,
    now: Timestamp,
    normalise: Normaliser,
) -> Result<(Vec<String>, Vec<Derived>), Vec<String>> {
    let (public_url, mut request) = match parts.engine.mail() {
        Some(mail) => letter_of(mail, sample, recordings).map_err(|reason| vec![reason])?,
        None => request_of(sample, recordings).map_err(|reason| vec![reason])?,
    };
    let channel = channel_of(parts, sample, &public_url)?;
    let now = match sample.now {
        Some(seconds) => Timestamp::from_second(seconds).map_err(|_| vec!["`now` is out of range".to_owned()])?,
        None => now,
    };
    if sample.sign {
        channel.verifier.sign(&mut request, now).map_err(|reason| vec![format!("it cannot be signed: {reason}")])?;
    }
    let remote = sample.remote.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let knock = Knock::new(request, Some(remote), now);
    let shown = attempt(&channel, &knock, Verification::Check, normalise);
    let failures = compare::failures(&sample.expect, &shown);
    let passes = sample.expect.verify == Some(ExpectVerify::Pass) && shown.verified.result == VerdictResult::Pass;
    let derives = passes && failures.is_empty() && !shown.is_handshake;
    let refusals = if derives { refusal::derive(&channel, &knock) } else { Vec::new() };
    Ok((failures, refusals))
}

/// The request of a sample as its provider would send it to this channel of a running gateway: with the same settings, signed
/// now, and with the channel in its path.
pub fn sent_to(
    parts: &Parts<'_>,
    sample: &Sample,
    channel: &str,
    public_url: &str,
    now: Timestamp,
) -> Result<Request, Vec<String>> {
    let (_, mut request) = request_of(sample, &BTreeMap::new()).map_err(|reason| vec![reason])?;
    let (path, query) =
        request.target.split_once('?').map_or((request.target.as_str(), None), |(path, query)| (path, Some(query)));
    // `/in/<channel>` and `/in/<channel>/<endpoint>`.
    let endpoint = path.splitn(4, '/').nth(3).map(|endpoint| format!("/{endpoint}")).unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    request.target = format!("/in/{channel}{endpoint}{query}");
    if let Some(then) = sample.now {
        // A time that stands in the URL or a header is that of the request.
        let (then, now) = (then.to_string(), now.as_second().to_string());
        request.target = request.target.replace(&then, &now);
        for (_, value) in request.headers.iter_mut().filter(|(_, value)| value == then.as_bytes()) {
            *value = now.clone().into_bytes();
        }
    }
    if sample.sign {
        let channel = channel_of(parts, sample, public_url)?;
        channel.verifier.sign(&mut request, now).map_err(|reason| vec![format!("it cannot be signed: {reason}")])?;
    }
    Ok(request)
}

/// The letter of a sample, in the envelope that its `headers` describe (`Mail-From`, `Rcpt-To`). `file` is a raw letter.
fn letter_of(mail: Mail, sample: &Sample, recordings: &BTreeMap<String, Bytes>) -> Result<(String, Request), String> {
    let letter = match &sample.file {
        Some(file) => {
            recordings.get(file).cloned().ok_or_else(|| format!("there is no file {file} beside the manifest"))?
        }
        None => body_of(sample)?,
    };
    let mut request = mail.envelope().request("sample", letter);
    request.headers.extend(headers_of(sample));
    Ok((PUBLIC_URL.to_owned(), request))
}

/// The request of a sample, and the public URL that its scheme and host stand for.
fn request_of(sample: &Sample, recordings: &BTreeMap<String, Bytes>) -> Result<(String, Request), String> {
    if let Some(file) = &sample.file {
        let content = recordings.get(file).ok_or_else(|| format!("there is no file {file} beside the manifest"))?;
        let request = request_file::parse(content).map_err(|error| format!("file {file}: {error}"))?;
        let public_url = sample.url.as_deref().map_or(PUBLIC_URL.to_owned(), |url| split_url(url).0.to_owned());
        return Ok((public_url, request));
    }
    let url = sample.url.as_deref().ok_or("a sample needs `url` or `file`")?;
    let (public_url, target) = split_url(url);
    let (headers, body) = (headers_of(sample), body_of(sample)?);
    let method = sample.method.as_deref().unwrap_or("POST").to_ascii_uppercase();
    Ok((public_url.to_owned(), Request { method, target: target.to_owned(), headers, body }))
}

fn headers_of(sample: &Sample) -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    for (name, values) in &sample.headers {
        let values = match values {
            HeaderValues::One(value) => std::slice::from_ref(value),
            HeaderValues::Many(values) => values,
        };
        headers.extend(values.iter().map(|value| (name.to_ascii_lowercase(), value.clone().into_bytes())));
    }
    headers
}

fn body_of(sample: &Sample) -> Result<Bytes, String> {
    match (&sample.body, &sample.body_base64) {
        (Some(_), Some(_)) => Err("give `body` or `body_base64`, not both".to_owned()),
        (Some(body), None) => Ok(Bytes::from(body.clone())),
        (None, Some(encoded)) => {
            STANDARD.decode(encoded).map(Bytes::from).map_err(|_| "`body_base64` is no base64".to_owned())
        }
        (None, None) => Ok(Bytes::new()),
    }
}

/// `https://loket.example/in/sms?a=b` -> (`https://loket.example`, `/in/sms?a=b`)
fn split_url(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |place| place + 3);
    match url[host..].find(['/', '?']) {
        Some(place) => url.split_at(host + place),
        None => (url, "/"),
    }
}

/// The channel that a sample is sent to: with its settings in clear, and the defaults of the specification.
pub fn channel_of(parts: &Parts<'_>, sample: &Sample, public_url: &str) -> Result<Channel, Vec<String>> {
    let settings = settings_of(parts.manifest, sample);
    let verifier =
        parts.scheme.with_keys(&settings, crate::signature::VerifyMode::Enforce, public_url).map_err(|errors| {
            errors.into_iter().map(|error| format!("settings.{}: {}", error.key, error.message)).collect::<Vec<_>>()
        })?;
    let verifier = verifier.with_sample_certificates();
    let id = ChannelId::new(parts.manifest.id.as_str()).map_err(|error| vec![error.to_string()])?;
    let terms = Terms::of_samples(parts.manifest);
    let post = open::post(parts.engine, &settings, std::path::Path::new("")).map_err(|errors| {
        errors.into_iter().map(|error| format!("{}; {}", error.message, error.hint)).collect::<Vec<_>>()
    })?;
    let bot = open::bot(parts.manifest, &settings).map_err(|errors| {
        errors.into_iter().map(|error| format!("{}; {}", error.message, error.hint)).collect::<Vec<_>>()
    })?;
    Ok(open::channel(id, parts, Keyed { verifier, settings, post, bot }, terms, public_url))
}

fn settings_of(manifest: &Manifest, sample: &Sample) -> Settings {
    let mut settings = Settings::default();
    for (name, rules) in &manifest.settings {
        let values = match (sample.settings.get(name), &rules.default) {
            (Some(SampleSetting::Many(values)), _) => values.clone(),
            (Some(SampleSetting::One(value)), _) | (None, Some(value)) => vec![open::text_of(value)],
            (None, None) => continue,
        };
        let setting = if rules.secret {
            Setting::Secret(values.into_iter().map(SecretString::from).collect())
        } else {
            Setting::Plain(values.join(","))
        };
        settings.insert(name.clone(), setting);
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Sample {
        toml::from_str(text).expect("a sample")
    }

    #[test]
    fn a_sample_becomes_the_raw_request() {
        let sample = sample(
            "name = 'x'\nurl = 'https://a.example/in/x?b=%41&b'\nheaders = { A-B = ['1', '2'], c = '3' }\nbody = 'h\u{e9}'\nexpect = {}",
        );
        let (public_url, request) = request_of(&sample, &BTreeMap::new()).expect("a request");
        assert_eq!((public_url.as_str(), request.target.as_str()), ("https://a.example", "/in/x?b=%41&b"));
        assert_eq!((request.method.as_str(), request.body.as_ref()), ("POST", "h\u{e9}".as_bytes()));
        assert_eq!(request.header_values("a-b").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(request.header("c"), Some("3"));
    }

    #[test]
    fn a_sample_may_be_a_recorded_file_or_bytes() {
        let recorded = sample("name = 'x'\nfile = 'a.http'\nurl = 'https://a.example'\nexpect = {}");
        let file = Bytes::from_static(b"GET /in/x?a=1 HTTP/1.1\r\n\r\n");
        let (public_url, request) = request_of(&recorded, &[("a.http".to_owned(), file)].into()).expect("a request");
        assert_eq!((public_url.as_str(), request.target.as_str()), ("https://a.example", "/in/x?a=1"));
        assert!(request_of(&recorded, &BTreeMap::new()).expect_err("no file").contains("a.http"));
        let bytes = sample("name = 'x'\nurl = 'https://a.example/'\nbody_base64 = '/w=='\nexpect = {}");
        assert_eq!(request_of(&bytes, &BTreeMap::new()).expect("a request").1.body.as_ref(), b"\xff");
        let neither = sample("name = 'x'\nexpect = {}");
        assert!(request_of(&neither, &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_url_is_cut_behind_its_host() {
        for (url, parts) in [
            ("https://a.example/b?c", ("https://a.example", "/b?c")),
            ("https://a.example:8443/", ("https://a.example:8443", "/")),
            ("https://a.example", ("https://a.example", "/")),
        ] {
            assert_eq!(split_url(url), parts);
        }
    }
}
