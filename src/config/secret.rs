//! References to secrets, and the one place where they are looked up: the environment and files.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::Key32;

/// Where a secret stands: `{ env = "NAME" }` or `{ file = "PATH" }`. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretRef {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file, relative to the configuration folder; one newline at its end is cut off.
    File(PathBuf),
}

/// Why a secret is not there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    #[error("the environment variable {0} is not set or empty; set it where the gateway is started")]
    NoVariable(String),
    #[error("the file {0} cannot be read ({1}); create it, readable by the gateway only")]
    NoFile(String, String),
    #[error("the file {0} is empty; write the secret into it")]
    EmptyFile(String),
}

/// The environment as it was when the process started, and the folder that relative paths begin at.
#[derive(Clone)]
pub struct Secrets {
    variables: BTreeMap<String, SecretString>,
    base: PathBuf,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Secrets({} variables)", self.variables.len())
    }
}

impl Secrets {
    /// Reads the environment of the process. Variables that are not UTF-8 are left out.
    #[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment")]
    pub fn from_environment(base: PathBuf) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, SecretString::from(value.into_string().ok()?)))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect(), base }
    }

    /// An environment for samples and tests.
    pub fn fixed<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
        Self { variables, base: PathBuf::new() }
    }

    /// A variable that holds no secret.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| value.expose_secret().to_owned())
    }

    /// The secret behind a reference; missing and empty (only spaces counts as empty) are errors.
    pub fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        match reference {
            SecretRef::Env(name) => self
                .variables
                .get(name)
                .filter(|value| !value.expose_secret().trim().is_empty())
                .cloned()
                .ok_or_else(|| SecretError::NoVariable(name.clone())),
            SecretRef::File(path) => {
                let path = self.base.join(path);
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| SecretError::NoFile(shown.clone(), error.kind().to_string()))?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if text.trim().is_empty() { Err(SecretError::EmptyFile(shown)) } else { Ok(text.into()) }
            }
        }
    }
}

/// A key of 32 bytes, written in base64.
pub(super) fn key32(secret: &SecretString) -> Result<Key32, String> {
    let bytes = STANDARD.decode(secret.expose_secret().trim());
    let bytes = bytes.map_err(|_| "the key is not base64; make one with: openssl rand -base64 32".to_owned())?;
    let key = <[u8; 32]>::try_from(bytes);
    key.map(Key32).map_err(|bytes| format!("the key has {} bytes and must have 32", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_is_no_secret() {
        let secrets = Secrets::fixed([("EMPTY", ""), ("SPACES", "  "), ("GOOD", "x")]);
        for name in ["EMPTY", "SPACES", "MISSING"] {
            let error = secrets.resolve(&SecretRef::Env(name.to_owned())).map(|_| ()).expect_err(name);
            assert_eq!(error, SecretError::NoVariable(name.to_owned()));
        }
        assert!(secrets.resolve(&SecretRef::Env("GOOD".to_owned())).is_ok());
    }

    #[test]
    fn one_newline_at_the_end_of_a_secret_file_is_cut_off_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join("secret");
        let read = |content: &str| {
            std::fs::write(&path, content).expect("written");
            let secret = Secrets::fixed([]).resolve(&SecretRef::File(path.clone()));
            secret.map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(read(" a b \n").as_deref(), Ok(" a b "));
        assert_eq!(read("a\n\n").as_deref(), Ok("a\n"));
        assert!(read("\n").is_err());
    }
}
