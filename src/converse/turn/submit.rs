//! The end of a draft: it becomes a complaint, or an addition to the last one.

use super::Turn;
use crate::{
    assemble::Assembled,
    complaint::{ChosenBy, Intent, Privacy, TrackingId},
    converse::{
        Conversed, Said,
        chat::step,
        compose::{self, Choices, Material},
        earlier, sms,
        target::Target,
    },
    sender::{Answers, Draft, Submitted},
};

impl Turn<'_> {
    /// The draft becomes a complaint.
    pub(super) fn submitted(mut self, draft: Draft, language: &str) -> Conversed {
        let is_short = !step::is_described(&draft, self.flow);
        let Draft { id, kept, answers, .. } = draft;
        let Some(mut assembled) = Assembled::of_draft(kept, self.material.assembled, self.material.channel) else {
            let said = self.speaker(language).nothing_to_move();
            return self.done(Some(said), language);
        };
        assembled.message.message.location.clone_from(&answers.pin);
        let material = Material { assembled: &assembled, ..self.material };
        let (anonymous, confidential) = answers.privacy.unwrap_or_default();
        let reading = sms::Reading {
            anonymous,
            confidential,
            text: assembled.message.message.text.clone().unwrap_or_default(),
            location: answers.place.clone(),
            incident: answers.when.clone(),
            too_short: is_short,
            keyword: None,
        };
        let first = earlier::same_words(&material, self.sender, &reading);
        let thread = Turn::thread_of(&material, first.as_ref().map(|(id, _)| *id));
        let privacy = privacy(&material, &answers);
        let words = earlier::words_hash(&reading.text);
        let mut complaint = compose::complaint(&material, Choices { reading, privacy, language, thread });
        compose::told(&mut complaint, &material, &answers);
        let say = match &first {
            Some((_, id)) => Some(self.speaker(language).duplicate(id)),
            None => Some(self.received(&complaint.tracking_id, anonymous, language)),
        };
        self.remember(&assembled, &complaint, words, first);
        self.sender.submitted = Some(Submitted {
            draft: id,
            complaint_id: complaint.complaint_id,
            tracking_id: complaint.tracking_id.clone(),
        });
        let turn = Turn { material, ..self };
        turn.whole(complaint, say, language)
    }

    fn received(&self, id: &TrackingId, anonymous: bool, language: &str) -> Said {
        let days = ("n", self.material.gateway.working_days.to_string());
        let mut said = Said::new("chat.submitted", vec![("id", id.to_string()), days], language);
        if anonymous {
            said.before.push("chat.privacy_caveat");
        }
        said
    }

    /// The draft's words belong to the last report.
    pub(super) fn added(self, draft: Draft, language: &str) -> Conversed {
        let last = self.sender.reports.last().map(Target::of);
        let assembled = Assembled::of_draft(draft.kept, self.material.assembled, self.material.channel);
        let (Some(target), Some(mut assembled)) = (last, assembled) else {
            let said = self.speaker(language).nothing_to_move();
            return self.done(Some(said), language);
        };
        assembled.message.message.location = draft.answers.pin;
        let words = assembled.message.message.text.clone().unwrap_or_default();
        let material = Material { assembled: &assembled, ..self.material };
        Turn { material, ..self }.add(target, Intent::AdditionalInformation, words, language)
    }
}

fn privacy(material: &Material<'_>, answers: &Answers) -> Privacy {
    let before = material.default_privacy();
    match answers.privacy {
        None => before,
        Some((anonymous, confidential)) => {
            Privacy { chosen_by: ChosenBy::Reporter, ..compose::hidden(before, anonymous, confidential) }
        }
    }
}
