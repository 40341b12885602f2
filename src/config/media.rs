//! `[media]`: files that come with complaints, and files of answers.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Mistakes;
use crate::{
    media::shelf::bucket::Access,
    secret::SecretRef,
    units::{Size, Span},
};

/// Where files are kept, and which.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSection {
    /// Folder of the files; `media` below `data_dir` when it is left out. Gateways that share a store share it, or a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// `s3://bucket/prefix`: files lie there, and in the folder only what is not whole yet. Left out: all of it in the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Where the bucket is, and who we are there.
    pub s3: S3Section,
    /// Of one file. A manifest may only lower it.
    pub max_size: Size,
    /// Types that are kept, by the bytes of the file: a type, or a family like `image/*`.
    pub types: Vec<String>,
    /// With less than this free on the disk nothing is fetched; files wait.
    pub free_space: Size,
    /// Address and port of `clamd`, like `127.0.0.1:3310`. With it no file is given out that was not scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clamd: Option<String>,
    /// How long the link to a file of an answer is good, under which a provider fetches it.
    pub link_life: Span,
    /// Wait after the first failed try to fetch a file; each wait is four times the one before it, at most 6 hours.
    pub retry_first: Span,
    /// Tries before a file is given up on.
    pub retry_max: u32,
}

impl Default for MediaSection {
    fn default() -> Self {
        let types = [
            "image/*",
            "video/*",
            "audio/*",
            "text/plain",
            "text/vcard",
            "application/pdf",
            "application/msword",
            "application/rtf",
            "application/vnd.ms-excel",
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.text",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ];
        Self {
            folder: None,
            storage: None,
            s3: S3Section::default(),
            max_size: Size::mib(25),
            types: types.map(str::to_owned).to_vec(),
            free_space: Size::mib(512),
            clamd: None,
            link_life: Span::from_secs(86_400),
            retry_first: Span::from_secs(60),
            retry_max: 7,
        }
    }
}

/// S3-compatible storage.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3Section {
    /// Like `https://s3.kota.example`; the provider of the region when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretRef>,
    /// The bucket stands in the path of a URL; false: in the name of the host.
    pub path_style: bool,
}

impl Default for S3Section {
    fn default() -> Self {
        Self { endpoint: None, region: "us-east-1".to_owned(), access_key: None, secret_key: None, path_style: true }
    }
}

impl MediaSection {
    /// The bucket, where files lie in one.
    pub(super) fn bucket(
        &self,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        mistakes: &mut Mistakes,
    ) -> Option<Access> {
        let storage = self.storage.as_ref()?;
        let Some((bucket, prefix)) = place(storage) else {
            let hint = "write s3://bucket or s3://bucket/prefix, in letters, digits, `-`, `.` and `_`";
            mistakes.add("storage", format!("storage is `{storage}`"), hint);
            return None;
        };
        let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if let Some(endpoint) = self.s3.endpoint.as_ref().filter(|endpoint| !is_url(endpoint)) {
            mistakes.add("endpoint", format!("endpoint is `{endpoint}`"), "write it like https://s3.kota.example");
        }
        let mut secret = |key: &str, reference: Option<&SecretRef>| -> Option<SecretString> {
            let Some(reference) = reference else {
                let hint = "write it in [media.s3] as { env = \"NAME\" } or { file = \"PATH\" }";
                mistakes.add("storage", format!("{key} of the storage is missing"), hint);
                return None;
            };
            let resolved = reference.resolve(folder, environment);
            resolved.map_err(|error| mistakes.add(key, format!("{key}: {error}"), "set it")).ok()
        };
        let access_key = secret("access_key", self.s3.access_key.as_ref());
        let secret_key = secret("secret_key", self.s3.secret_key.as_ref());
        Some(Access {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: self.s3.endpoint.as_ref().map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            region: self.s3.region.clone(),
            access_key: access_key?,
            secret_key: secret_key?,
            path_style: self.s3.path_style,
        })
    }
}

/// Bucket and prefix of `s3://bucket/prefix`.
fn place(storage: &str) -> Option<(&str, &str)> {
    let rest = storage.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let prefix = prefix.trim_matches('/');
    let is_good = !bucket.is_empty()
        && is_plain(bucket)
        && prefix.split('/').all(|part| is_plain(part) && !matches!(part, "." | ".."))
        && !prefix.contains("//");
    is_good.then_some((bucket, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_with_its_prefix_or_without() {
        for (storage, expected) in [
            ("s3://loket", Some(("loket", ""))),
            ("s3://loket/", Some(("loket", ""))),
            ("s3://loket/kota/media/", Some(("loket", "kota/media"))),
            ("s3://", None),
            ("s3:///x", None),
            ("https://loket", None),
            ("s3://loket/../x", None),
            ("s3://loket/a//b", None),
            ("s3://key:secret@loket", None),
        ] {
            assert_eq!(place(storage), expected, "{storage}");
        }
    }

    #[test]
    fn all_that_is_missing_is_told_and_no_secret_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let load = |text: &str| {
            std::fs::write(folder.path().join("loket.toml"), text).expect("a file");
            crate::config::load(folder.path(), &|name| (name == "KEY").then(|| "s3cret".to_owned()))
        };
        let told = load("[media]\nstorage = \"s3://loket\"\n[media.s3]\nendpoint = \"loket\"\n").expect_err("mistakes");
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        let keys = "access_key = { env = \"KEY\" }\nsecret_key = { env = \"KEY\" }\n";
        let good = load(&format!("[media]\nstorage = \"s3://loket/a\"\n[media.s3]\n{keys}")).expect("no mistakes");
        assert_eq!(format!("{:?}", good.bucket), "Some(Access(s3://loket/a))");
        assert!(load("").expect("no mistakes").bucket.is_none());
    }
}
