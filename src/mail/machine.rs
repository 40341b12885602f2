//! Letters that a machine wrote: answers of absent people, bounces, receipts, lists.
//!
//! In: what the reader knows of a letter ([`Traits`]). Out: a verdict, [`Automatic`]. It decides whether the sender is
//! acknowledged, as two machines that answer each other never stop; it never decides whether a letter is kept. Every letter
//! is kept, so that a person who was taken for a machine loses an acknowledgement and nothing else.
//!
//! What a header says counts alone (RFC 3834, 3464, 6522, 8098, 2369, 2919). Words count only in twos: a subject as machines
//! write it, and a body or a sender that goes with it.

use std::fmt;

use crate::message::Automatic;

mod headers;
mod phrases;

/// What is looked at. Header names are in lower case, values unfolded and decoded.
pub struct Traits<'a> {
    /// Those of which [`is_looked_at`] says so are enough.
    pub headers: &'a [(String, String)],
    /// The envelope said `MAIL FROM:<>`, or the letter says `Return-Path: <>`.
    pub null_path: bool,
    /// The address of the author.
    pub from: Option<&'a str>,
    pub subject: Option<&'a str>,
    /// Of the whole letter, in lower case: `multipart/report`.
    pub content_type: &'a str,
    /// The parameter `report-type` of a `multipart/report` (RFC 6522, section 3).
    pub report_type: Option<&'a str>,
    /// The new text.
    pub text: &'a str,
    /// The author is an address of the channel, or an `X-Loop` is ours.
    pub is_ours: bool,
}

impl fmt::Debug for Traits<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Traits({} headers, {} bytes of text)", self.headers.len(), self.text.len())
    }
}

/// What a sign says of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Generated,
    Bounce,
    List,
}

/// Is anything made of a header of this name, in whatever case?
pub fn is_looked_at(header: &str) -> bool {
    headers::is_looked_at(header)
}

/// The verdict; None for a person's letter. The reason is that of the first sign and holds no word of the letter.
pub fn recognise(traits: &Traits<'_>) -> Option<Automatic> {
    let mut verdict = Verdict::default();
    if traits.is_ours {
        verdict.add(Nature::Generated, || "from an address of the channel, or with its X-Loop".to_owned());
    }
    if let Some((nature, reason)) = report(traits) {
        verdict.add(nature, || reason.to_owned());
    }
    headers::look(traits.headers, &mut verdict);
    let sender = traits.from.and_then(phrases::sender);
    if let Some(nature) = sender {
        verdict.add(nature, || "sender that takes no answers".to_owned());
    }
    let wording = phrases::wording(traits.subject.unwrap_or_default(), traits.text);
    if let Some((nature, reason)) = wording.verdict(traits.null_path || sender.is_some() || verdict.is_generated()) {
        verdict.add(nature, || reason.to_owned());
    }
    if traits.null_path {
        verdict.add(Nature::Generated, || "null return path".to_owned());
    }
    headers::look_at_precedence(traits.headers, &mut verdict);
    verdict.automatic
}

/// RFC 6522, and its parts as letters of their own.
fn report(traits: &Traits<'_>) -> Option<(Nature, &'static str)> {
    let report_type = traits.report_type.unwrap_or_default();
    let is = |name: &str| report_type.eq_ignore_ascii_case(name);
    match traits.content_type {
        "multipart/report" if is("delivery-status") => Some((Nature::Bounce, "multipart/report delivery-status")),
        "multipart/report" if is("disposition-notification") => {
            Some((Nature::Generated, "multipart/report disposition-notification"))
        }
        "multipart/report" => Some((Nature::Generated, "multipart/report")),
        "message/delivery-status" | "message/global-delivery-status" => {
            Some((Nature::Bounce, "message/delivery-status"))
        }
        "message/disposition-notification" | "message/global-disposition-notification" => {
            Some((Nature::Generated, "message/disposition-notification"))
        }
        _ => None,
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Verdict {
    automatic: Option<Automatic>,
}

impl Verdict {
    fn add(&mut self, nature: Nature, reason: impl FnOnce() -> String) {
        let automatic = self.automatic.get_or_insert_with(|| Automatic { reason: reason(), ..Automatic::default() });
        match nature {
            Nature::Generated => automatic.auto_generated = true,
            // A machine wrote it, of course.
            Nature::Bounce => (automatic.auto_generated, automatic.bounce) = (true, true),
            Nature::List => automatic.list = true,
        }
    }

    fn is_generated(&self) -> bool {
        self.automatic.as_ref().is_some_and(|automatic| automatic.auto_generated)
    }
}

#[cfg(test)]
mod tests;
