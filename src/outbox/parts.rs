//! The parts of an answer through a provider: its words, cut to what the provider takes, then its files, each under an
//! idempotency key of its own.
//!
//! What the provider took is noted when a try fails behind it, and the next try goes on there. A crash before the note sends
//! those parts again, under the same keys.

use std::time::Duration;

use ring::digest::{Context, SHA256};
use tokio::time::Instant;

use super::{
    attempt::Tried,
    courier::{BUDGET, Counter, Courier},
    tokens::exposed,
};
use crate::{
    adapter::webhook::send::{Judgement, Letter, Outgoing, Parts, Question, Send, Standing, files::Enclosed},
    clock,
    http::{FileBody, HttpError},
    message::{Enclosure, numbered},
    store::{OutboxEntry, Progress},
    vault::Address,
};

/// No file begins later than this, in place of [`BUDGET`]: its request may take longer than one with words.
const WITH_FILE: Duration = Duration::from_secs(30);

/// What leaves with one request.
#[derive(Clone, Copy)]
enum Part<'a> {
    Text(&'a str),
    File(&'a Enclosure),
}

impl Courier {
    /// Every part in order; the first that is not taken ends the try.
    pub(super) async fn send(
        &self,
        counter: &Counter<'_>,
        send: &Send,
        entry: &OutboxEntry,
        address: &Address,
        progress: &mut Progress,
    ) -> Tried {
        let (parts, is_late) = match parts(send, entry, address) {
            Ok(parts) => parts,
            Err(tried) => return tried,
        };
        begin(progress, &parts.texts);
        let texts = parts.texts.iter().map(|text| Part::Text(text));
        let all: Vec<_> = texts.chain(entry.enclosures.iter().map(Part::File)).collect();
        let begun = Instant::now();
        let mut last = None;
        let mut is_first = true;
        for (place, part) in all.iter().enumerate() {
            if is_taken(*progress, place, parts.texts.len()) {
                continue;
            }
            let wait = if is_first { Duration::ZERO } else { counter.pace.reserve(Instant::now()) };
            is_first = false;
            let budget = if matches!(part, Part::File(_)) { WITH_FILE } else { BUDGET };
            if begun.elapsed() + wait > budget {
                return Tried::again("the parts take too long at the channel's pace");
            }
            tokio::time::sleep(wait).await;
            let key = if place == 0 { entry.id.clone() } else { format!("{}-{}", entry.id, place + 1) };
            let letter = Letter {
                to: &address.to,
                to_type: &address.kind,
                from: address.from.as_deref().unwrap_or_default(),
                text: if let Part::Text(text) = part { text } else { "" },
                language: &entry.language,
                idempotency_key: &key,
                receipts_url: counter.receipts_url,
                reply_to: None,
                choices: if parts.choices_are_shown { &entry.choices } else { &[] },
                asks_location: parts.asks_location,
                is_late,
            };
            match self.send_part(counter, send, &letter, *part).await {
                // Reports on the last part tell most of the whole.
                Tried::Sent { external_id } => last = external_id.or(last),
                otherwise => return otherwise,
            }
            match part {
                Part::Text(_) => progress.texts += 1,
                Part::File(_) => progress.files += 1,
            }
        }
        Tried::Sent { external_id: last }
    }

    async fn send_part(&self, counter: &Counter<'_>, send: &Send, letter: &Letter<'_>, part: Part<'_>) -> Tried {
        let settings = counter.surroundings.settings;
        let asking = match send.oauth(settings) {
            Ok(asking) => asking,
            Err(reason) => return Tried::again(reason),
        };
        let token = match &asking {
            Some(request) => match self.tokens.token(&self.http, request.clone()).await {
                Ok(token) => Some(token),
                Err(reason) => return Tried::again(reason),
            },
            None => None,
        };
        // A request that cannot be composed is a mistake in the manifest or the settings, which an operator may mend
        // before the tries are used up.
        let response = match part {
            Part::Text(_) => match send.compose(letter, settings, exposed(token.as_ref())) {
                Ok(outgoing) => self.http.send(outgoing).await,
                Err(reason) => return Tried::again(reason),
            },
            Part::File(enclosure) => {
                let Some(fresh) = self.files.fresh(&self.gateway, enclosure, letter.idempotency_key) else {
                    return Tried::again("the store has not told its key yet");
                };
                match send.enclose(letter, &fresh.facts(enclosure), settings, exposed(token.as_ref())) {
                    Ok(Enclosed { outgoing, tail: None }) => self.http.send(outgoing).await,
                    Ok(Enclosed { outgoing, tail: Some(tail) }) => {
                        let file = match self.files.bytes(enclosure).await {
                            Ok(opened) => FileBody { size: opened.size, pieces: opened.pieces },
                            Err(missing) => return missing.tried(),
                        };
                        self.http.send_file(outgoing, file, tail).await
                    }
                    Err(reason) => return Tried::again(reason),
                }
            }
        };
        self.judge(counter, send, response, asking.as_ref())
    }

    fn judge(
        &self,
        counter: &Counter<'_>,
        send: &Send,
        response: Result<crate::adapter::webhook::send::Response, HttpError>,
        asking: Option<&Outgoing>,
    ) -> Tried {
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                let is_unknown = error.may_have_left();
                return Tried::Again { after: None, reason: error.to_string(), is_unknown };
            }
        };
        if let Some(asking) = asking.filter(|_| response.status == 401) {
            // The token was withdrawn before its time: a new one is asked for.
            self.tokens.forget(asking);
            return Tried::again("the provider no longer takes the token");
        }
        match send.judge(&response, &counter.surroundings, clock::now()) {
            Judgement::Accepted { external_id } => Tried::Sent { external_id },
            Judgement::Again { after, reason } => Tried::Again { after, reason, is_unknown: false },
            Judgement::Never { reason } => Tried::Never { reason },
        }
    }
}

/// The words as they leave now, and whether the window is over; the error ends the try.
fn parts(send: &Send, entry: &OutboxEntry, address: &Address) -> Result<(Parts, bool), Tried> {
    match send.standing(address.heard_at, clock::now()) {
        Standing::Free => {}
        Standing::Template if entry.enclosures.is_empty() => {
            // A template takes the words as one value and has its own buttons.
            let texts = vec![numbered(&entry.text, &entry.choices)];
            return Ok((Parts { texts, choices_are_shown: false, asks_location: false }, true));
        }
        Standing::Template => {
            let reason = "the provider takes a template only until the citizen writes again, and a template has no files; \
                          send the words without them, or wait";
            return Err(Tried::never(reason));
        }
        // Only the citizen can open the window again: to try until then would end as a dead letter without this reason.
        Standing::Held { reason } => return Err(Tried::never(reason)),
    }
    let question = if entry.asks_location { Question::Position } else { Question::Words };
    let parts = send.parts(&entry.text, &entry.choices, question).map_err(Tried::never)?;
    Ok((parts, false))
}

/// Words that are cut otherwise than in the try before are said again.
fn begin(progress: &mut Progress, texts: &[String]) {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut cut = [0; 8];
    cut.copy_from_slice(&context.finish().as_ref()[..8]);
    let cut = u64::from_be_bytes(cut);
    if progress.cut != cut {
        (progress.texts, progress.cut) = (0, cut);
    }
}

fn is_taken(progress: Progress, place: usize, texts: usize) -> bool {
    match place.checked_sub(texts) {
        None => place < usize::from(progress.texts),
        Some(file) => file < usize::from(progress.files),
    }
}
