//! `[send]` and `[probe]`: composes the request of an answer, and judges what the provider says to it
//! (`channel-manifest.md` §3 and §5). Pure: the shell sends what is composed here.

use serde_json::Value;
use crate::{mapping::{Escape, Filter, MappingError, Template}, settings::Settings};
use super::rules::{ProbeRules, SendRules};

/// Compiles the filters and templates of one section and gathers the mistakes.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    pub section: &'static str,
    pub errors: &'a mut Vec<MappingError>,
}

impl Compiler<'_> {
    /// None when there is no source, or it does not compile.
    pub fn filter(&mut self, key: &str, source: Option<&String>) -> Option<Filter> {
        Filter::compile(source?).map_err(|message| self.mistake(key, message)).ok()
    }

    pub fn template(&mut self, key: &str, source: &str, escape: Escape) -> Option<Template> {
        Template::compile(source, escape).map_err(|message| self.mistake(key, message)).ok()
    }

    fn mistake(&mut self, key: &str, message: String) {
        self.errors.push(MappingError { section: self.section, key: key.to_owned(), message, hint: None });
    }
}

/// A request of ours, ready to leave.
pub struct Outgoing { pub method: String, pub url: String, pub headers: Vec<(String, String)>, pub body: Vec<u8> }

/// What an answer says and to whom.
#[derive(Clone)]
pub struct Letter<'a> { pub to: &'a str, pub to_type: &'a str, pub from: &'a str, pub text: &'a str, pub language: &'a str, pub idempotency_key: &'a str, pub receipts_url: &'a str, pub reply_to: Option<&'a str> }

/// What the provider answered.
#[derive(Clone, Debug)]
pub struct Response { pub status: u16, pub headers: Vec<(String, String)>, pub body: Vec<u8> }

/// What the answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Accepted { external_id: Option<String> },
    /// Try again, not before `after` if the provider says so.
    Again { after: Option<std::time::Duration>, reason: String },
    Never { reason: String },
}

#[derive(Debug)]
pub struct Send;
impl Send {
    pub(super) fn compile(rules: &SendRules, errors: &mut Vec<MappingError>) -> Option<Self> { let _ = (rules, errors); todo!() }
    pub fn rules(&self) -> &SendRules { todo!() }
    /// Cuts a long text as `split` says; one part without it.
    pub fn parts(&self, text: &str) -> Vec<String> { let _ = text; todo!() }
    pub fn compose(&self, letter: &Letter<'_>, settings: &Settings) -> Result<Outgoing, String> { let _ = (letter, settings); todo!() }
    pub fn judge(&self, response: &Response, settings: &Settings) -> Judgement { let _ = (response, settings); todo!() }
}

#[derive(Debug)]
pub struct Probe;
impl Probe {
    pub(super) fn compile(rules: &ProbeRules, errors: &mut Vec<MappingError>) -> Option<Self> { let _ = (rules, errors); todo!() }
    pub fn compose(&self, settings: &Settings) -> Result<Outgoing, String> { let _ = settings; todo!() }
    /// Are the credentials good, and who holds the webhook now?
    pub fn judge(&self, response: &Response, settings: &Settings) -> (bool, Option<String>) { let _ = (response, settings); let _ = Value::Null; todo!() }
}
