//! The agencies table (`agencies.csv`: code, name, aliases, keywords, region).
use std::path::Path;
use crate::{complaint::AgencyHint, diagnostic::Diagnostic};

#[derive(Debug, Default)]
pub struct Agencies;

impl Agencies {
    /// A file that is not there is an empty table. All mistakes at once.
    pub fn load(folder: &Path) -> Result<Self, Vec<Diagnostic>> { let _ = folder; todo!() }
    /// The agency of an SMS keyword (the first token of the text), if it is in the table.
    pub fn keyword(&self, token: &str) -> Option<AgencyHint> { let _ = token; todo!() }
}
