//! The declarative engine: receives by jq and sends by templates, as the manifest says.

pub mod rules;
