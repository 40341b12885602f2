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
    #[error("the environment variable {0} is not set; set it where the gateway starts")]
    Unset(String),
    #[error("the environment variable {0} is empty; set it where the gateway starts")]
    EmptyVariable(String),
    #[error("the file {path} cannot be read ({cause}); create it, readable by the gateway only")]
    Unreadable { path: String, cause: String },
    #[error("the file {0} is empty; write the secret into it")]
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_missing_or_empty_secret_is_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = |name: &str| match name {
            "GOOD" => Some(" a b\n".to_owned()),
            "EMPTY" => Some(String::new()),
            "BLANK" => Some(" \n".to_owned()),
            _ => None,
        };
        let resolve = |reference: SecretRef| {
            reference.resolve(folder.path(), &environment).map(|secret| secret.expose_secret().to_owned())
        };
        assert_eq!(resolve(SecretRef::Env("GOOD".into())).as_deref(), Ok(" a b\n"), "only files are cut");
        for name in ["EMPTY", "BLANK", "MISSING"] {
            assert!(resolve(SecretRef::Env(name.into())).expect_err(name).to_string().contains(name));
        }
        for (content, secret) in
            [("k\n", Some("k")), ("k\r\n", Some("k")), (" k\n\n", Some(" k\n")), ("\n", None), ("", None), ("  ", None)]
        {
            std::fs::write(folder.path().join("secret"), content).expect("written");
            assert_eq!(resolve(SecretRef::File("secret".into())).ok().as_deref(), secret, "{content:?}");
        }
        assert!(resolve(SecretRef::File("nothing".into())).is_err());
        std::fs::write(folder.path().join("large"), "x".repeat(70_000)).expect("written");
        assert!(resolve(SecretRef::File("large".into())).is_err());
    }
}
