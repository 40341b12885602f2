//! Commands: what a citizen asks of the gateway itself, about reports of their own.

use super::{Turn, hear::Hint};
use crate::{
    complaint::{Intent, TrackingId},
    converse::{Conversed, command::Command, compose},
    sender::Question,
};

impl Turn<'_> {
    pub(super) fn obey(self, command: Command, text: String, language: &str) -> Conversed {
        let speaker = self.speaker(language);
        match command {
            Command::Status(id) => self.status(id, language),
            Command::Add(id, words) => self.add_by_number(&id, words, text, language),
            Command::Withdraw(id) => self.change(&id, Intent::Withdrawal, language),
            Command::Erase(id) => self.change(&id, Intent::ErasureRequest, language),
            Command::Hide { anonymous, confidential, report } => self.hide(anonymous, confidential, report, language),
            Command::Move(_) => self.done(Some(speaker.nothing_to_move()), language),
            Command::New(_) => {
                self.sender.stopped = false;
                self.done(Some(speaker.welcome()), language)
            }
            Command::Help => self.done(Some(speaker.help()), language),
            Command::Notice => self.done(Some(speaker.notice()), language),
            Command::Language(chosen) => {
                self.sender.language = Some(chosen.to_owned());
                let said = self.speaker(chosen).language_set();
                self.done(Some(said), chosen)
            }
            Command::Stop => {
                self.sender.stopped = true;
                self.done(Some(speaker.stopped()), language)
            }
        }
    }

    fn status(self, id: Option<TrackingId>, language: &str) -> Conversed {
        let speaker = self.speaker(language);
        if !self.sender.may_look_up(self.now) {
            return self.done(Some(speaker.too_often()), language);
        }
        let ids: Vec<_> = self.sender.reports.iter().rev().map(|report| report.tracking_id.clone()).collect();
        if id.is_none() && ids.len() > 1 && self.asks() {
            let said = speaker.which_of(&ids);
            self.sender.question = Some(Question::Which(ids));
            return self.done(Some(said), language);
        }
        let Some(id) = id.or_else(|| ids.into_iter().next()) else {
            return self.done(Some(speaker.which()), language);
        };
        let Some(target) = self.own(&id) else { return self.not_found(&id, language) };
        let last = self.known.filter(|known| known.tracking_id == id).and_then(|known| known.status.last());
        let (status, at) = last.map_or(("received", target.received_at), |last| (last.status.as_str(), last.at));
        let said = speaker.status(&id, status, at);
        self.done_about(Some(said), Some(target.complaint_id), language)
    }

    fn add_by_number(self, id: &TrackingId, words: String, text: String, language: &str) -> Conversed {
        match self.own(id) {
            Some(target) if words.is_empty() && !self.material.carries_more() => {
                let said = self.speaker(language).help();
                self.done_about(Some(said), Some(target.complaint_id), language)
            }
            Some(target) => self.add(target, Intent::AdditionalInformation, words, language),
            // Somebody else's number, or nobody's: the words are a complaint of their own, and the answer tells nothing.
            None => self.hear(text, Hint::Mentions(id.clone()), language),
        }
    }

    fn change(self, id: &TrackingId, intent: Intent, language: &str) -> Conversed {
        let Some(target) = self.own(id) else { return self.not_found(id, language) };
        let speaker = self.speaker(language);
        let said = if intent == Intent::Withdrawal { speaker.withdrawn(id) } else { speaker.erasure(id) };
        self.follow(target, intent, None, None, said, language)
    }

    fn hide(self, anonymous: bool, confidential: bool, id: Option<TrackingId>, language: &str) -> Conversed {
        let speaker = self.speaker(language);
        let Some(id) = id.or_else(|| self.sender.reports.last().map(|report| report.tracking_id.clone())) else {
            return self.done(Some(speaker.help()), language);
        };
        let Some(target) = self.own(&id) else { return self.not_found(&id, language) };
        let privacy = compose::hidden(target.privacy, anonymous, confidential);
        if let Some(report) = self.sender.report_mut(target.complaint_id) {
            report.privacy = privacy;
        }
        let said = speaker.privacy(&id, privacy);
        self.follow(target, Intent::PrivacyChange, None, Some(privacy), said, language)
    }
}
