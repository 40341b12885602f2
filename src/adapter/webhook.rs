//! The declarative engine behind every HTTP provider: jq takes requests apart, MiniJinja puts answers together, as the
//! manifest says (`channel-manifest.md` §2 and §3). There is no third language.
//!
//! In: a journalled receipt, or an answer to compose. Out: messages and delivery reports, or a request that the shell
//! sends. It opens no socket and reads no clock.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    adapter::Parsed,
    journal::Journalled,
    mail::attachments,
    mapping::{
        Escape, Filter, Mapped, Mapping, MappingError, MappingFault, Root, Surroundings, Template,
        rules::{MessageRules, ReceiptRules, ReceiveRules},
    },
    receipt::{Origin, Receipt, Request},
    settings::Settings,
    signature::is_allowed,
};

pub mod rules;
pub mod send;

use rules::{HandshakeRules, MediaRules, ProbeRules, RespondRules, SendRules};
use send::{Compiler, Probe, Send, media::Media};

/// Most bytes of a handshake's answer.
const HANDSHAKE_BYTES: usize = 1024;

/// A reply to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

/// The sections that the engine is made of, as they stand in the manifest.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    pub receive: &'a ReceiveRules,
    pub message: &'a MessageRules,
    pub receipts: Option<&'a ReceiptRules>,
    pub respond: &'a RespondRules,
    pub handshakes: &'a [HandshakeRules],
    pub media: Option<&'a MediaRules>,
    pub send: Option<&'a SendRules>,
    pub probe: Option<&'a ProbeRules>,
}

/// A manifest's engine: everything compiled once.
#[derive(Debug)]
pub struct Webhook {
    mapping: Mapping,
    receive: ReceiveRules,
    respond: Respond,
    handshakes: Vec<Handshake>,
    pub media: Option<Media>,
    pub send: Option<Send>,
    pub probe: Option<Probe>,
}

#[derive(Debug)]
struct Respond {
    answer: Answer,
    /// The body, where it is more than a fixed text.
    template: Option<Template>,
}

#[derive(Debug)]
struct Handshake {
    rules: HandshakeRules,
    when: Filter,
    body: Template,
    fetch: Option<Filter>,
}

/// A request that is answered and ends there.
#[derive(Clone, Debug)]
pub struct Handshaken {
    /// `[[verify]]` must pass first.
    pub signed: bool,
    pub answer: Answer,
    /// What is to be asked for before the answer.
    pub fetch: Option<Fetch>,
}

/// The URL by which a subscription is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// On a host of the manifest's list.
    Url(String),
    /// There is none, or it leads elsewhere: nothing is asked for.
    Elsewhere,
}

impl Webhook {
    /// Compiles every filter and template; all mistakes at once.
    pub fn compile(sections: &Sections<'_>) -> Result<Self, Vec<MappingError>> {
        let mut errors = Vec::new();
        let mapping = match Mapping::compile(sections.receive, sections.message, sections.receipts) {
            Ok(mapping) => Some(mapping),
            Err(mistakes) => {
                errors.extend(mistakes);
                None
            }
        };
        let respond = Respond::compile(sections.respond, &mut errors);
        let handshakes: Vec<_> =
            sections.handshakes.iter().enumerate().filter_map(|block| Handshake::compile(block, &mut errors)).collect();
        let media = sections.media.and_then(|rules| Media::compile(rules, &mut errors));
        let send = sections.send.and_then(|rules| Send::compile(rules, &mut errors));
        let probe = sections.probe.and_then(|rules| Probe::compile(rules, &mut errors));
        match (mapping, respond) {
            (Some(mapping), Some(respond)) if errors.is_empty() => {
                Ok(Self { mapping, receive: sections.receive.clone(), respond, handshakes, media, send, probe })
            }
            _ => Err(errors),
        }
    }

    /// Takes a receipt apart. What cannot be read is in the faults, never a failure of the channel.
    pub fn parse(&self, journalled: Journalled, surroundings: &Surroundings<'_>) -> Parsed {
        let (receipt, verdict, _) = journalled.into_parts();
        let mut origin = Origin::of(&receipt, verdict);
        match self.read(&receipt, surroundings) {
            Ok(mut mapped) => {
                origin.verdict.checks.append(&mut mapped.checks);
                Parsed::new(origin, mapped)
            }
            Err(fault) => Parsed::unreadable(origin, fault),
        }
    }

    /// What a receipt says, for samples and `loket channel try`: there the journal is not asked.
    pub fn read(&self, receipt: &Receipt, surroundings: &Surroundings<'_>) -> Result<Mapped, MappingFault> {
        let root = self.root(receipt, surroundings.settings)?;
        self.mapping.run(&root, surroundings)
    }

    /// The bytes of a file that lies in its receipt: `raw:N` of a multipart body, or a part of the letter that the item at
    /// `place` is.
    pub fn file(
        &self,
        receipt: &Receipt,
        place: usize,
        reference: &str,
        surroundings: &Surroundings<'_>,
    ) -> Option<Vec<u8>> {
        let root = self.root(receipt, surroundings.settings).ok()?;
        if reference.starts_with("raw:") {
            return root.bytes(reference).map(|bytes| bytes.to_vec());
        }
        let letter = self.mapping.letter(&root, place, surroundings)?;
        attachments::part(&letter, reference)
    }

    fn root(&self, receipt: &Receipt, settings: &Settings) -> Result<Root, MappingFault> {
        let Receipt { request, endpoint, remote, received_at, .. } = receipt;
        Root::decode(request, endpoint, *remote, *received_at, &self.receive, settings)
    }

    /// `[respond]`: the same for the first delivery and for every repetition, as it depends on the request alone.
    pub fn respond(&self, receipt: &Receipt, settings: &Settings) -> Answer {
        let Some(template) = &self.respond.template else { return self.respond.answer.clone() };
        // A request that cannot be decoded was accepted all the same: it gets the status without the body.
        let root = self.root(receipt, settings).map(|root| root.to_json());
        let body = root.ok().and_then(|root| template.render(&root).ok()).unwrap_or_default();
        Answer { body, ..self.respond.answer.clone() }
    }

    /// The first handshake that this request is.
    pub fn handshake(
        &self,
        endpoint: &str,
        request: &Request,
        received_at: Timestamp,
        surroundings: &Surroundings<'_>,
    ) -> Option<Handshaken> {
        let fits = |handshake: &&Handshake| handshake.fits(endpoint, &request.method);
        let mut candidates = self.handshakes.iter().filter(fits).peekable();
        candidates.peek()?;
        let root =
            Root::decode(request, endpoint, None, received_at, &self.receive, surroundings.settings).ok()?.to_json();
        candidates.find_map(|handshake| handshake.answer(&root, surroundings))
    }
}

impl Respond {
    fn compile(rules: &RespondRules, errors: &mut Vec<MappingError>) -> Option<Self> {
        let body = rules.body.clone().unwrap_or_default();
        let answer = Answer { status: rules.status, content_type: rules.content_type.clone(), body: body.clone() };
        let content_type = rules.content_type.as_deref().unwrap_or_default();
        let template = Compiler { section: "respond", errors }.template("body", &body, escape_of(content_type))?;
        // Most bodies are fixed: they are not rendered again for each request.
        let is_fixed = !body.contains("{{") && !body.contains("{%") && !body.contains("{#");
        Some(Self { answer, template: (!is_fixed).then_some(template) })
    }
}

impl Handshake {
    /// The keys of mistakes begin with the place of the block, as there may be several.
    fn compile((place, rules): (usize, &HandshakeRules), errors: &mut Vec<MappingError>) -> Option<Self> {
        let mut compiler = Compiler { section: "handshake", errors };
        let when = compiler.filter(&format!("{place}.when"), Some(&rules.when));
        let escape = escape_of(&rules.respond.content_type);
        let body = compiler.template(&format!("{place}.respond.body"), &rules.respond.body, escape);
        let fetch = compiler.filter(&format!("{place}.fetch"), rules.fetch.as_ref());
        Some(Self { rules: rules.clone(), when: when?, body: body?, fetch })
    }

    fn fetch(&self, root: &Value, surroundings: &Surroundings<'_>) -> Option<Fetch> {
        let url = self.fetch.as_ref()?.run_first(root, surroundings).ok().flatten();
        let url = url.as_ref().and_then(Value::as_str).filter(|url| is_allowed(url, &self.rules.fetch_hosts));
        Some(url.map_or(Fetch::Elsewhere, |url| Fetch::Url(url.to_owned())))
    }

    fn fits(&self, endpoint: &str, method: &str) -> bool {
        self.rules.endpoint == endpoint && self.rules.method.as_deref().is_none_or(|wanted| wanted == method)
    }

    fn answer(&self, root: &Value, surroundings: &Surroundings<'_>) -> Option<Handshaken> {
        let matched = matches!(self.when.run_first(root, surroundings), Ok(Some(Value::Bool(true))));
        let is_get = root.get("method").and_then(Value::as_str) == Some("GET");
        if matched {
            let body = self.body.render(root).ok().filter(|body| body.len() <= HANDSHAKE_BYTES)?;
            let content_type = Some(self.rules.respond.content_type.clone());
            let answer = Answer { status: self.rules.respond.status, content_type, body };
            let fetch = self.fetch(root, surroundings);
            return Some(Handshaken { signed: self.rules.signed.unwrap_or(!is_get), answer, fetch });
        }
        let status = self.rules.otherwise.as_ref()?.status;
        let answer = Answer { status, content_type: None, body: String::new() };
        Some(Handshaken { signed: false, answer, fetch: None })
    }
}

/// Answers are escaped by their content type.
pub fn escape_of(content_type: &str) -> Escape {
    match content_type.split(';').next().unwrap_or_default().trim() {
        media_type if media_type.ends_with("json") => Escape::Json,
        media_type if media_type.ends_with("xml") || media_type.ends_with("html") => Escape::Xml,
        "application/x-www-form-urlencoded" => Escape::Form,
        _ => Escape::Text,
    }
}
