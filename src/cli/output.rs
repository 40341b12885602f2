//! How commands print: one JSON document a line with `--json`, text for people without. Colours only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity, Style};

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
    let style = if std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
    for diagnostic in found {
        if json {
            // It is plain data: serialising it cannot fail.
            let _ = self::json(&diagnostic.line());
        } else {
            eprintln!("{}", diagnostic.render(style));
        }
    }
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
