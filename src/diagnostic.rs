//! Mistakes in files, shown as a compiler shows them: file, line, column, cause and a hint. All of a file's mistakes are
//! gathered before anything is shown.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

/// Does the mistake keep the file from being used?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Warning,
    Error,
}

/// A file as it was read: mistakes point into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Source({})", self.path.display())
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub source: Arc<Source>,
    /// Bytes of the text that are meant; empty at 0 when the whole file is.
    pub span: Range<usize>,
    /// What is wrong: lower case, no full stop, names the field.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}
