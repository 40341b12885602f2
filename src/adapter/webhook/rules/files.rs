//! `[send.media]`: how the files of an answer leave, and which the provider takes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Size;

/// `[send.media]`: files of an answer, by their kind. A file is of the first kind that takes its type and size; what no other
/// takes is a document, where there is one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SendMediaRules {
    pub image: Option<FileRules>,
    pub video: Option<FileRules>,
    pub audio: Option<FileRules>,
    pub document: Option<FileRules>,
}

impl SendMediaRules {
    /// With the sections that they are.
    pub fn kinds(&self) -> [(&'static str, Option<&FileRules>); 4] {
        [
            ("send.media.image", self.image.as_ref()),
            ("send.media.video", self.video.as_ref()),
            ("send.media.audio", self.audio.as_ref()),
            ("send.media.document", self.document.as_ref()),
        ]
    }
}

/// How a file of one kind leaves: by its link, which the provider fetches, or with its bytes in the request (`file`).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRules {
    /// Template, as in `[send]`. Default: that of `[send]`.
    #[serde(default)]
    pub url: Option<String>,
    /// Template of the body, encoded as `[send] encode` says; reads `link`, `media_type`, `filename` and `caption` besides.
    #[serde(default)]
    pub body: Option<String>,
    /// The same as a table of fields.
    #[serde(default)]
    pub form: Option<BTreeMap<String, String>>,
    /// Name of the field that holds the bytes: the form leaves as `multipart/form-data`.
    #[serde(default)]
    pub file: Option<String>,
    /// Types that the provider takes: a type, or a family like `image/*`. Default: any.
    #[serde(default)]
    pub types: Vec<String>,
    /// The largest file that the provider takes.
    pub max_size: Size,
    /// Most characters of a caption; 0 where the provider shows none.
    #[serde(default)]
    pub caption_max: usize,
}
