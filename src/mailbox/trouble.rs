//! What can go wrong with a mailbox. Each variant is a decision of whoever reads it; none holds a word of a letter.

use std::io;

use crate::{journal::JournalError, store::StoreError};

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The connection: another may do better.
    #[error("{0}")]
    Lost(String),
    /// The server does not take the credentials.
    #[error("the server refuses the login: {0}")]
    Refused(String),
    /// The server says no to one command, and the connection is as good as before.
    #[error("the server says no to {command}: {words}")]
    No { command: &'static str, words: String, is_folder_missing: bool },
    /// The settings have to be mended, or a file that they name.
    #[error("{0}")]
    Settings(String),
    /// So many letters cannot be had that something else must be wrong.
    #[error("{0} letters could not be fetched; the folder waits, please look at the mail server")]
    TooManySkipped(usize),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Trouble {
    /// A failure of the connection, said in words that quote nothing: the library's own would quote what it was reading.
    pub fn lost(error: &io::Error) -> Self {
        Self::Lost(words(error))
    }

    pub fn of_library(error: &async_imap::error::Error, command: &'static str) -> Self {
        use async_imap::error::Error;
        match error {
            Error::Io(error) => Self::lost(error),
            Error::No(_) | Error::Bad(_) => {
                let words = "no reason given".to_owned();
                Self::No { command, words, is_folder_missing: false }
            }
            Error::ConnectionLost => Self::Lost("the server ended the connection".to_owned()),
            _ => Self::Lost(NOT_UNDERSTOOD.to_owned()),
        }
    }
}

const NOT_UNDERSTOOD: &str = "the server's answer cannot be understood";

fn words(error: &io::Error) -> String {
    let inner = error.get_ref();
    if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return format!("TLS: {tls}");
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server ended the connection".to_owned(),
        // The first are the system's words, the second are ours.
        _ if error.raw_os_error().is_some() => error.to_string(),
        io::ErrorKind::TimedOut => error.to_string(),
        _ => NOT_UNDERSTOOD.to_owned(),
    }
}

/// The reason that a server gives, short and on one line.
pub(super) fn reason(information: Option<&str>) -> String {
    let text: String =
        information.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(160).collect();
    if text.trim().is_empty() { "no reason given".to_owned() } else { text.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_was_reading_is_not_told() {
        let quoting = io::Error::other("Error during parsing of \"* 1 FETCH (BODY[] {9}\\r\\nrahasia\"");
        assert!(!Trouble::lost(&quoting).to_string().contains("rahasia"));
        let refused = io::Error::from_raw_os_error(111);
        assert!(Trouble::lost(&refused).to_string().contains("refused"));
        assert_eq!(reason(Some("a\r\nb")), "ab");
        assert_eq!(reason(Some(" ")), "no reason given");
    }
}
