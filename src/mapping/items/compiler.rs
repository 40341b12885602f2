//! Compiles the sections of a manifest and gathers every mistake (`channel-manifest.md` §10).

use std::collections::BTreeSet;

use super::{Concat, Fields, Receipts};
use crate::{
    mapping::{
        MappingError,
        filter::Filter,
        root::{body::Step, json::MAX_DEPTH, text},
        rules::{ConcatRules, GroupRules, MessageRules, ReceiptRules, ReceiveRules},
    },
    units::{Size, Span},
};

/// Most bytes of a body that a manifest may ask for.
const MAX_BODY: Size = Size::mib(32);

/// Gathers mistakes, and the settings that filters read.
#[derive(Default)]
pub(super) struct Compiler {
    pub errors: Vec<MappingError>,
    pub settings: BTreeSet<String>,
}

impl Compiler {
    fn mistake(&mut self, section: &'static str, key: &str, message: impl Into<String>, hint: Option<String>) {
        self.errors.push(MappingError { section, key: key.to_owned(), message: message.into(), hint });
    }

    pub(super) fn filter(&mut self, section: &'static str, key: &str, source: &str) -> Option<Filter> {
        match Filter::checked(source) {
            Ok(filter) => {
                self.settings.extend(filter.facts().settings.iter().cloned());
                Some(filter)
            }
            Err(refusal) => {
                self.mistake(section, key, refusal.message, refusal.hint);
                None
            }
        }
    }

    pub(super) fn receive(&mut self, rules: &ReceiveRules) {
        let known = rules.charset.starts_with("param:") || text::charset(&rules.charset).is_some();
        if !known {
            let hint = "a label such as `utf-8` or `iso-8859-1`, or `param:<name>`".to_owned();
            self.mistake("receive", "charset", "this charset is not known", Some(hint));
        }
        for step in rules.decode.iter().filter(|step| Step::named(step).is_none()) {
            let hint = "`gzip`, `base64`, `hex`, or a charset such as `utf-16be`".to_owned();
            self.mistake("receive", "decode", format!("`{step}` is no step that is known"), Some(hint));
        }
        if !(1..=MAX_DEPTH).contains(&rules.max_depth) {
            self.mistake("receive", "max_depth", format!("the depth is 1 to {MAX_DEPTH}"), None);
        }
        if rules.max_body > MAX_BODY {
            self.mistake("receive", "max_body", "a body is at most 32 MiB", None);
        }
    }

    pub(super) fn message(&mut self, rules: &MessageRules) -> Option<Fields> {
        let each = self.filter("message", "each", &rules.each);
        if each.as_ref().is_some_and(|each| each.facts().takes_one) {
            let hint = "providers batch: take all items with `.[]`".to_owned();
            self.mistake("message", "each", "it takes one item of a list; the others would be lost", Some(hint));
        }
        let mut field =
            |key: &str, source: &Option<String>| source.as_ref().and_then(|source| self.filter("message", key, source));
        let (when, id, from, to) =
            (field("when", &rules.when), field("id", &rules.id), field("from", &rules.from), field("to", &rules.to));
        let identities = field("identities", &rules.identities);
        let reply_address = field("reply_address", &rules.reply_address);
        let conversation_key = field("conversation_key", &rules.conversation_key);
        let sender_name = field("sender_name", &rules.sender_name);
        let subject = field("subject", &rules.subject);
        let text = field("text", &rules.text);
        let language = field("language", &rules.language);
        let action = field("action", &rules.action);
        let edit_of = field("edit_of", &rules.edit_of);
        let reply_to = field("reply_to", &rules.reply_to);
        let references = field("references", &rules.references);
        let sent_at = field("sent_at", &rules.sent_at);
        let location = field("location", &rules.location);
        let attachments = field("attachments", &rules.attachments);
        let unsupported = field("unsupported", &rules.unsupported);
        let (mime, auth) = (field("mime", &rules.mime), field("auth", &rules.auth));
        let group = rules.group.as_ref().and_then(|group| self.group(group));
        let concat = rules.concat.as_ref().and_then(|concat| self.concat(concat));
        Some(Fields {
            each: each?,
            when,
            id,
            from,
            to,
            identities,
            reply_address,
            conversation_key,
            sender_name,
            subject,
            text,
            language,
            action,
            edit_of,
            reply_to,
            references,
            sent_at,
            location,
            attachments,
            unsupported,
            mime,
            auth,
            group,
            concat,
        })
    }

    fn group(&mut self, rules: &GroupRules) -> Option<(Filter, Span, Span)> {
        if rules.max < rules.window {
            self.mistake("message.group", "max", "the longest wait is shorter than the window", None);
        }
        Some((self.filter("message.group", "key", &rules.key)?, rules.window, rules.max))
    }

    fn concat(&mut self, rules: &ConcatRules) -> Option<Concat> {
        let section = "message.concat";
        let when = rules.when.as_ref().and_then(|source| self.filter(section, "when", source));
        let reference = self.filter(section, "ref", &rules.reference);
        let part = self.filter(section, "part", &rules.part);
        let total = self.filter(section, "total", &rules.total);
        Some(Concat { when, reference: reference?, part: part?, total: total?, timeout: rules.timeout })
    }

    pub(super) fn receipts(&mut self, rules: &ReceiptRules) -> Option<Receipts> {
        let each = self.filter("receipts", "each", &rules.each);
        if each.as_ref().is_some_and(|each| each.facts().takes_one) {
            let hint = "providers batch: take all reports with `.[]`".to_owned();
            self.mistake("receipts", "each", "it takes one item of a list; the others would be lost", Some(hint));
        }
        let id = self.filter("receipts", "id", &rules.id);
        let status = self.filter("receipts", "status", &rules.status);
        let error = rules.error.as_ref().and_then(|source| self.filter("receipts", "error", source));
        Some(Receipts { endpoint: rules.endpoint, each: each?, id: id?, status: status?, error })
    }
}
