//! Mapping: jq takes requests apart, MiniJinja puts answers together (`channel-manifest.md` §3 to §5).

use jiff::tz::TimeZone;

use crate::{
    message::{DeliveryReport, Message},
    settings::Settings,
};

/// What a filter may need beside its input.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    pub settings: &'a Settings,
    /// ISO 3166: national numbers are read as this country's.
    pub country: &'a str,
    /// Times without a zone are read in it.
    pub timezone: &'a TimeZone,
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

/// What a receipt says.
#[derive(Debug, Default)]
pub struct Mapped {
    /// With their places among the outputs of `each`: a mended mapping gives each item the same place again.
    pub messages: Vec<(usize, Message)>,
    pub reports: Vec<DeliveryReport>,
    pub faults: Vec<MappingFault>,
    /// Items that `when` left out, and receipts without items.
    pub ignored: u32,
}

pub mod rules;

use serde_json::Value;
use std::net::IpAddr;
use jiff::Timestamp;
use crate::receipt::Request;
use rules::{MessageRules, ReceiptRules, ReceiveRules};

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

/// The evaluation root of `channel-manifest.md` §4.
#[derive(Debug)]
pub struct Root;

impl Root {
    /// Decodes a verified request.
    pub fn decode(request: &Request, endpoint: &str, remote: Option<IpAddr>, received_at: Timestamp, rules: &ReceiveRules, settings: &Settings) -> Result<Self, MappingFault> {
        let _ = (request, endpoint, remote, received_at, rules, settings);
        todo!()
    }

    /// For templates and handshakes.
    pub fn to_json(&self) -> Value { todo!() }
}

/// A compiled jq filter.
#[derive(Debug)]
pub struct Filter;

impl Filter {
    /// Compiles one filter; the error says what is wrong in a line.
    pub fn compile(source: &str) -> Result<Self, String> { let _ = source; todo!() }

    /// The first output over a JSON document; None when there is none, or null.
    pub fn run_first(&self, input: &Value, surroundings: &Surroundings<'_>) -> Result<Option<Value>, String> { let _ = (input, surroundings); todo!() }
}

/// A compiled template.
#[derive(Debug)]
pub struct Template;

impl Template {
    pub fn compile(source: &str, escape: Escape) -> Result<Self, String> { let _ = (source, escape); todo!() }
    /// Names of the variables at the top level that the template reads (`settings.x` gives `settings`).
    pub fn variables(&self) -> Vec<String> { todo!() }
    /// Dotted paths (`settings.account_sid`, `secret.token`) that the template reads.
    pub fn paths(&self) -> Vec<String> { todo!() }
    pub fn render(&self, context: &Value) -> Result<String, String> { let _ = context; todo!() }
}

/// The compiled `[message]` and `[receipts]` of a manifest.
#[derive(Debug)]
pub struct Mapping;

impl Mapping {
    /// Compiles every filter; all mistakes at once.
    pub fn compile(receive: &ReceiveRules, message: &MessageRules, receipts: Option<&ReceiptRules>) -> Result<Self, Vec<MappingError>> { let _ = (receive, message, receipts); todo!() }
    /// Names of settings that filters read as `settings.NAME`, and of secrets in `secret_eq`.
    pub fn settings_used(&self) -> Vec<String> { todo!() }
    pub fn run(&self, root: &Root, surroundings: &Surroundings<'_>) -> Result<Mapped, MappingFault> { let _ = (root, surroundings); todo!() }
}
