//! How commands print: one JSON document a line with `--json`, text for people without. Colours only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity};

/// One JSON document on a line. A reader that went away ends the program quietly.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(document)?;
    line(&text);
    Ok(())
}

/// One line on standard output; a closed pipe (`| head`) is no error.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Mistakes as the compiler shows them, on standard error; with `json` as documents on standard output. True when one of
/// them is an error.
pub fn diagnostics(found: &[Diagnostic], json: bool) -> bool {
    let colour = std::io::stderr().is_terminal();
    for diagnostic in found {
        if json {
            line(&diagnostic.to_json().to_string());
        } else {
            eprintln!("{}", diagnostic.render(colour));
        }
    }
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
