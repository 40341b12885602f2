//! `[media]`: files that come with complaints, and files of answers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

/// Where files are kept, and which.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSection {
    /// Folder of the files; `media` below `data_dir` when it is left out. Gateways that share a store share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
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
