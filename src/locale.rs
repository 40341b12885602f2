//! The texts that a citizen reads: Fluent locales, Indonesian and English, which an operator can override.
use std::path::Path;
use crate::diagnostic::Diagnostic;

#[derive(Debug)]
pub struct Locales;

impl Locales {
    /// The compiled-in texts, overlaid with `locales/{id,en}.ftl` of the folder where those exist.
    pub fn load(folder: &Path) -> Result<Self, Vec<Diagnostic>> { let _ = folder; todo!() }
    /// A text in the language, or in Indonesian where there is none in it.
    pub fn text(&self, message: &str, language: &str, arguments: &[(&str, String)]) -> String { let _ = (message, language, arguments); todo!() }
}
