//! References to secrets: files hold names, never values.

use std::path::Path;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Most bytes of a secret file.
const MAX_BYTES: u64 = 64 << 10;

/// `{ env = "NAME" }` or `{ file = "PATH" }`, the path relative to the configuration folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretRef {
    Env(String),
    File(std::path::PathBuf),
}

/// The secret is not there, or is empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("the environment variable {0} is not set")]
    Unset(String),
    #[error("the environment variable {0} is empty")]
    EmptyVariable(String),
    #[error("the file {path} cannot be read: {cause}")]
    Unreadable { path: String, cause: String },
    #[error("the file {0} is empty")]
    EmptyFile(String),
}

impl SecretRef {
    /// The value. One newline at the end of a file is cut off and nothing else; a value of white space counts as empty.
    pub fn resolve(
        &self,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, SecretError> {
        match self {
            Self::Env(name) => match environment(name) {
                None => Err(SecretError::Unset(name.clone())),
                Some(value) if value.trim().is_empty() => Err(SecretError::EmptyVariable(name.clone())),
                Some(value) => Ok(value.into()),
            },
            Self::File(path) => {
                let path = folder.join(path);
                let shown = path.display().to_string();
                let unreadable = |cause: String| SecretError::Unreadable { path: shown.clone(), cause };
                let size = std::fs::metadata(&path).map_err(|error| unreadable(error.to_string()))?.len();
                if size > MAX_BYTES {
                    return Err(unreadable(format!("it has {size} bytes, a secret at most {MAX_BYTES}")));
                }
                let mut value = std::fs::read_to_string(&path).map_err(|error| unreadable(error.to_string()))?;
                if value.ends_with('\n') {
                    value.pop();
                    if value.ends_with('\r') {
                        value.pop();
                    }
                }
                if value.trim().is_empty() { Err(SecretError::EmptyFile(shown)) } else { Ok(value.into()) }
            }
        }
    }
}
