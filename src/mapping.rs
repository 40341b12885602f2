//! Mapping: jq takes requests apart, MiniJinja puts answers together (`channel-manifest.md` §3 to §5).
//!
//! In: a verified request and the rules of a manifest. Out: messages and delivery reports, each with its place in the
//! receipt, and the items that could not be read. It is pure: no clock, no file, no network, no environment; a filter sees
//! no secret but through `secret_eq`.
//!
//! Both what strangers send and what a manifest's author writes is bounded:
//!
//! | what | where |
//! |---|---|
//! | decompressed bytes, form fields, parts, depth, number of values of a body | `root` |
//! | length and nesting of a filter; functions without an end | `filter`, refused when it is compiled |
//! | memory and steps of a run | `value::meter`: every operation of a value pays; a run that overdraws gives nothing |
//! | outputs of `each`, bytes of all results | `filter`, `fields` |
//! | steps and output of a template | `template` |
//!
//! The time that a receipt may take is kept by the caller, which can abandon the thread.

use jiff::tz::TimeZone;

use crate::{
    mail::{Letter, addresses::OurAddresses},
    message::{DeliveryReport, Message},
    receipt::Check,
    settings::Settings,
};

pub mod rules;

mod value;
mod filter;
mod root;
mod fields;
mod items;
mod owner;
mod template;

pub use filter::Filter;
pub use items::Mapping;
pub use owner::{Owner, Owners};
pub use root::Root;
pub use template::Template;

/// What a filter may need beside its input.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    /// ISO 3166: national numbers are read as this country's.
    pub country: &'a str,
    /// Times without a zone are read in it.
    pub timezone: &'a TimeZone,
    /// The channel's own mail addresses; none where letters do not come.
    pub ours: &'a OurAddresses,
    /// Names of mail servers whose `Authentication-Results` are believed.
    pub trusted_servers: &'a [String],
    /// Those of the channels that share this one's URL, among which `pick` chooses.
    pub sharers: &'a [Self],
}

impl<'a> Surroundings<'a> {
    /// Those of a channel that no letters come to.
    pub fn new(settings: &'a Settings, country: &'a str, timezone: &'a TimeZone) -> Self {
        static NONE: OurAddresses = OurAddresses::none();
        Self { settings, country, timezone, ours: &NONE, trusted_servers: &[], sharers: &[] }
    }
}

/// A mistake in a section of a manifest, found when it is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// As in the file: `message`, `message.concat`, `send`.
    pub section: &'static str,
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Why a receipt, or one item of it, could not be read. Shown to operators; holds no words of a citizen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingFault {
    /// Place of the item in the receipt; None: the whole receipt.
    pub item: Option<usize>,
    pub reason: String,
}

impl std::fmt::Display for MappingFault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.item {
            Some(item) => write!(out, "item {}: {}", item + 1, self.reason),
            None => out.write_str(&self.reason),
        }
    }
}

/// What a receipt says.
#[derive(Debug, Default)]
pub struct Mapped {
    /// With their places among the outputs of `each`: a mended mapping gives each item the same place again.
    pub messages: Vec<(usize, Message)>,
    pub reports: Vec<DeliveryReport>,
    pub faults: Vec<MappingFault>,
    /// Items that `when` left out, and receipts without items.
    pub ignored: u32,
    /// What a trusted mail server found out about the sender.
    pub checks: Vec<Check>,
    /// Whose the items are, where channels share a URL.
    pub owners: Owners,
}

impl Mapped {
    /// A receipt that is one letter.
    pub fn of_letter(letter: Letter) -> Self {
        let mut mapped = Self::default();
        mapped.add_letter(0, letter);
        mapped
    }

    /// The item at `place` was a letter.
    fn add_letter(&mut self, place: usize, letter: Letter) {
        let Letter { mut message, reports, checks } = letter;
        // What a bounce is about is what it answers.
        for report in &reports {
            if !message.references.contains(&report.id) {
                message.references.push(report.id.clone());
            }
        }
        self.messages.push((place, message));
        self.reports.extend(reports);
        self.checks.extend(checks);
    }
}

/// How a template's values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// `{{ x }}` writes a whole JSON value.
    Json,
    Xml,
    /// Percent-encoded: values of forms and queries.
    Form,
    /// Percent-encoded as a path segment.
    Url,
    Text,
}
