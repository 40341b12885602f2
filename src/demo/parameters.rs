//! The parameters of a call of a simulated provider: of the query, a form, a JSON document or a multipart form, all read alike.

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use futures_util::stream;
use multer::Multipart;
use serde_json::{Map, Value};

use super::files::File;
use crate::percent;

/// Most parameters of a call.
const MOST: usize = 100;

/// Values and files by name.
#[derive(Debug, Default)]
pub struct Parameters {
    values: BTreeMap<String, Value>,
    uploads: BTreeMap<String, File>,
}

impl Parameters {
    pub fn of(values: Map<String, Value>) -> Self {
        Self { values: values.into_iter().take(MOST).collect(), uploads: BTreeMap::new() }
    }

    /// Reads a request; the reason, where it is none.
    pub async fn read(query: Option<&str>, content_type: &str, body: Bytes) -> Result<Self, &'static str> {
        let mut parameters = Self::default();
        parameters.form(query.unwrap_or_default());
        if body.is_empty() {
            return Ok(parameters);
        }
        if content_type.starts_with("application/json") {
            let values: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| "can't parse JSON object")?;
            parameters.values.extend(values.into_iter().take(MOST));
        } else if content_type.starts_with("multipart/form-data") {
            parameters.multipart(content_type, body).await?;
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            parameters.form(&String::from_utf8_lossy(&body));
        }
        Ok(parameters)
    }

    fn form(&mut self, text: &str) {
        for pair in text.split('&').filter(|pair| !pair.is_empty()).take(MOST) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |text: &str| percent::decoded(&text.replace('+', " "));
            self.values.insert(plain(name), Value::String(plain(value)));
        }
    }

    async fn multipart(&mut self, content_type: &str, body: Bytes) -> Result<(), &'static str> {
        let broken = "can't parse the multipart form";
        let boundary = multer::parse_boundary(content_type).map_err(|_| "there is no boundary")?;
        let mut multipart = Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
        for _ in 0..MOST {
            let Some(field) = multipart.next_field().await.map_err(|_| broken)? else { return Ok(()) };
            let name = field.name().unwrap_or_default().to_owned();
            let (file_name, kind) =
                (field.file_name().map(str::to_owned), field.content_type().map(ToString::to_string));
            let bytes = field.bytes().await.map_err(|_| broken)?;
            if file_name.is_none() && kind.is_none() {
                self.values.insert(name, Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            } else {
                let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
                self.uploads.insert(name, File { bytes, media_type: kind, name: file_name });
            }
        }
        Ok(())
    }

    /// A text, or a number as one; an empty one is none.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    pub fn decimal(&self, name: &str) -> Option<f64> {
        self.text(name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes"))
    }

    /// A document; clients that send forms write it as text.
    pub fn document(&self, name: &str) -> Result<Option<Value>, &'static str> {
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                serde_json::from_str(text).map(Some).map_err(|_| "object expected as reply markup")
            }
            Some(value) => Ok(Some(value.clone())),
        }
    }

    /// A file that came along: under the name itself, or where the name points to as `attach://`.
    pub fn upload(&self, name: &str) -> Option<&File> {
        let place = self.text(name);
        let place = place.as_deref().and_then(|place| place.strip_prefix("attach://")).unwrap_or(name);
        self.uploads.get(place)
    }

    pub fn attach(&mut self, name: &str, file: File) {
        self.values.remove(name);
        self.uploads.insert(name.to_owned(), file);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read(query: &str, content_type: &str, body: &str) -> Parameters {
        Parameters::read(Some(query), content_type, Bytes::from(body.to_owned())).await.expect("parameters")
    }

    #[tokio::test]
    async fn query_form_json_and_multipart_say_the_same() {
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n5\r\n\
            --b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\na b\r\n--b--\r\n";
        for parameters in [
            read("chat_id=5&text=a+b", "", "").await,
            read("", "application/x-www-form-urlencoded", "chat_id=5&text=a%20b").await,
            read("chat_id=6", "application/json", r#"{"chat_id": 5, "text": "a b"}"#).await,
            read("", "multipart/form-data; boundary=b", multipart).await,
        ] {
            assert_eq!((parameters.number("chat_id"), parameters.text("text").as_deref()), (Some(5), Some("a b")));
        }
    }

    #[tokio::test]
    async fn a_file_may_stand_under_another_name() {
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"photo\"\r\n\r\nattach://f1\r\n\
            --b\r\nContent-Disposition: form-data; name=\"f1\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\nxyz\r\n--b--\r\n";
        let parameters = read("", "multipart/form-data; boundary=b", multipart).await;
        assert_eq!(&parameters.upload("photo").expect("a file").bytes[..], b"xyz");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(query: String, kind in 0..4_usize, body: Vec<u8>) {
            let kind = ["application/json", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded", ""][kind];
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(Parameters::read(Some(&query), kind, Bytes::from(body)));
        }
    }
}
