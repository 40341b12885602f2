//! A channel file (`channel-manifest.md` §1): the operator's instance of a manifest. Plain data as it stands in the file;
//! `open` checks it against the manifest. A secret is never in it, only where the secret stands.

use std::{collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use crate::{secret::SecretRef, signature::VerifyMode, units::Size};

/// One channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelFile {
    /// File name in `channels/` without `.toml`.
    pub manifest: String,
    /// False: 401 to the provider, nothing sent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// For people; default: the manifest's.
    #[serde(default)]
    pub title: Option<String>,
    /// ISO 3166 code; national numbers are read as this country's. Default: of the gateway.
    #[serde(default)]
    pub country: Option<String>,
    /// IANA name; times without a zone are read in it. Default: of the gateway.
    #[serde(default)]
    pub timezone: Option<String>,
    /// BCP 47; of the first answer, when nothing better is known. Default: of the gateway.
    #[serde(default)]
    pub language: Option<String>,
    /// The queue of this channel's complaints when no routing rule says otherwise.
    #[serde(default)]
    pub queue: Option<String>,
    /// False: complaints are taken in, nothing is sent on our own initiative.
    #[serde(default = "yes")]
    pub acknowledge: bool,
    /// This channel shares the URL and the keys of the channel named.
    #[serde(default)]
    pub receiver: Option<String>,
    /// A value for each setting of the manifest.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingValue>,
    #[serde(default)]
    pub verify: VerifySection,
    #[serde(default)]
    pub limits: LimitsSection,
    #[serde(default)]
    pub media: MediaSection,
}

fn yes() -> bool {
    true
}

/// `[verify]`
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifySection {
    /// What a failed verification means.
    pub mode: VerifyMode,
}

/// `[limits]`: every key may only lower what the manifest allows.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    pub max_body: Option<Size>,
    pub send_per_second: Option<f64>,
    /// Spend cap of acknowledgements; when it is reached they wait and are counted.
    pub acks_per_day: Option<u64>,
}

/// `[media]`
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSection {
    /// Media may be fetched from private addresses (a gateway in our own network).
    pub allow_private: bool,
}

/// A value of `[settings]`. Prints nothing of it: a plain text may be a secret in the wrong place.
#[derive(Clone)]
pub enum SettingValue {
    Text(String),
    Number(String),
    Boolean(bool),
    Secret(SecretRef),
    List(Vec<Self>),
}

impl SettingValue {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Secret(_) => "a reference to a secret",
            Self::List(_) => "a list",
        }
    }
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SettingValue({})", self.kind())
    }
}

/// Looks a variable of the environment up.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl<'de> Deserialize<'de> for SettingValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = SettingValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value, { env = \"NAME\" } or { file = \"PATH\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SettingValue, E> {
        Ok(SettingValue::Text(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<SettingValue, E> {
        Ok(SettingValue::Number(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<SettingValue, E> {
        Ok(SettingValue::Number(number.to_string()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<SettingValue, E> {
        Ok(SettingValue::Boolean(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<SettingValue, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(SettingValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<SettingValue, A::Error> {
        let mut reference = None;
        while let Some(key) = entries.next_key::<String>()? {
            let found = match key.as_str() {
                "env" => SecretRef::Env(entries.next_value()?),
                "file" => SecretRef::File(entries.next_value()?),
                _ => return Err(de::Error::unknown_field(&key, &["env", "file"])),
            };
            if reference.replace(found).is_some() {
                return Err(de::Error::custom("a secret stands in one place: write `env` or `file`, not both"));
            }
        }
        reference.map(SettingValue::Secret).ok_or_else(|| de::Error::missing_field("env"))
    }
}

impl JsonSchema for SettingValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SettingValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let secret = serde_json::json!({
            "type": "object",
            "properties": { "env": { "type": "string" }, "file": { "type": "string" } },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "description": "where a secret stands: a variable of the environment, or a file (relative to the configuration folder)",
        });
        json_schema!({
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                secret,
                { "type": "array", "items": secret, "description": "several values of a secret that is being rotated" },
            ],
        })
    }
}

/// JSON Schema of a channel file, for editors (`loket schema channel`).
pub fn schema() -> Schema {
    schemars::schema_for!(ChannelFile)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn read(text: &str) -> (Option<ChannelFile>, Vec<String>) {
        let (file, mistakes) = crate::channel::document::tests::document(text).read();
        (file, mistakes.into_iter().map(|mistake| mistake.message).collect())
    }

    #[test]
    fn the_file_of_the_specification_is_read() {
        let (file, mistakes) = read(
            r#"
            manifest = "twilio-sms"
            title = "SMS 1708"
            country = "ID"
            [settings]
            account_sid = "AC00000000000000000000000000000000"
            auth_token = [{ env = "TWILIO_TOKEN" }, { file = "secrets/twilio_old" }]
            [verify]
            mode = "observe"
            [limits]
            max_body = "128 KiB"
            send_per_second = 10
            acks_per_day = 20000
            "#,
        );
        assert_eq!(mistakes, Vec::<String>::new());
        let file = file.expect("a file");
        assert!(file.enabled && file.acknowledge && !file.media.allow_private);
        assert_eq!((file.verify.mode, file.limits.max_body), (VerifyMode::Observe, Some(Size::kib(128))));
        assert_eq!(file.limits.send_per_second, Some(10.0));
        let Some(SettingValue::List(tokens)) = file.settings.get("auth_token") else { panic!("a list") };
        assert!(matches!(&tokens[0], SettingValue::Secret(SecretRef::Env(name)) if name == "TWILIO_TOKEN"));
    }

    #[test]
    fn mistakes_name_the_key_and_show_no_value() {
        let (_, mistakes) = read(
            "manifest = \"a\"\nenabeld = true\n[settings]\nx = { env = \"A\", file = \"B\" }\ny = { envv = \"s3cret\" }\nz = {}\n",
        );
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes.iter().all(|mistake| !mistake.contains("s3cret")), "{mistakes:?}");
        assert!(mistakes.iter().any(|mistake| mistake.contains("`enabeld`")), "{mistakes:?}");
        assert!(mistakes.iter().any(|mistake| mistake.contains("not both")), "{mistakes:?}");
    }

    #[test]
    fn a_setting_prints_nothing() {
        let (file, _) = read("manifest = \"a\"\n[settings]\ntoken = \"hunter2\"\n");
        assert!(!format!("{:?}", file.expect("a file")).contains("hunter2"));
    }

    #[test]
    fn the_schema_knows_every_key() {
        let schema = schema().to_value();
        for key in ["manifest", "receiver", "settings", "limits", "media"] {
            assert!(schema["properties"].get(key).is_some(), "{key}");
        }
        assert_eq!(schema["additionalProperties"], false);
    }
}
