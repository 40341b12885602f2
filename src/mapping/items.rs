//! The compiled `[receive] pick`, `[message]` and `[receipts]` of a manifest: from an evaluation root to messages and
//! delivery reports (`channel-manifest.md` §3 and §8).
//!
//! One bad item of a batch is one fault; the others go on.

use std::fmt;

use jaq_json::Val;

use super::{
    Mapped, MappingError, MappingFault, Owner, Root, Surroundings,
    fields::{self, Room},
    filter::Filter,
    rules::{MessageRules, ReceiptEndpoint, ReceiptRules, ReceiveRules},
};
use crate::{
    message::{DeliveryReport, DeliveryStatus, Group, Message},
    units::Span,
};

mod compiler;
mod letter;

use compiler::Compiler;

/// The compiled `[message]` and `[receipts]` of a manifest.
pub struct Mapping {
    message: Fields,
    receipts: Option<Receipts>,
    pick: Option<(Filter, String)>,
    settings_used: Vec<String>,
}

/// Shows nothing: the compiled form says nothing to a reader.
impl fmt::Debug for Mapping {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Mapping")
    }
}

/// The filters of `[message]`. Absent keys give absent fields.
struct Fields {
    each: Filter,
    when: Option<Filter>,
    id: Option<Filter>,
    from: Option<Filter>,
    to: Option<Filter>,
    identities: Option<Filter>,
    reply_address: Option<Filter>,
    conversation_key: Option<Filter>,
    sender_name: Option<Filter>,
    subject: Option<Filter>,
    text: Option<Filter>,
    language: Option<Filter>,
    action: Option<Filter>,
    edit_of: Option<Filter>,
    reply_to: Option<Filter>,
    references: Option<Filter>,
    sent_at: Option<Filter>,
    location: Option<Filter>,
    attachments: Option<Filter>,
    unsupported: Option<Filter>,
    mime: Option<Filter>,
    auth: Option<Filter>,
    group: Option<(Filter, Span, Span)>,
    concat: Option<Concat>,
}

struct Concat {
    when: Option<Filter>,
    reference: Filter,
    part: Filter,
    total: Filter,
    timeout: Span,
}

struct Receipts {
    endpoint: ReceiptEndpoint,
    each: Filter,
    id: Filter,
    status: Filter,
    error: Option<Filter>,
}

impl Mapping {
    /// Compiles every filter; all mistakes at once.
    pub fn compile(
        receive: &ReceiveRules,
        message: &MessageRules,
        receipts: Option<&ReceiptRules>,
    ) -> Result<Self, Vec<MappingError>> {
        let mut compiler = Compiler::default();
        compiler.receive(receive);
        let pick = receive
            .pick
            .as_ref()
            .and_then(|pick| Some((compiler.filter("receive", "pick", &pick.from)?, pick.setting.clone())));
        compiler.settings.extend(receive.pick.iter().map(|pick| pick.setting.clone()));
        let fields = compiler.message(message);
        let receipts = receipts.map(|rules| compiler.receipts(rules));
        match fields {
            Some(message) if compiler.errors.is_empty() => Ok(Self {
                message,
                receipts: receipts.flatten(),
                pick,
                settings_used: compiler.settings.into_iter().collect(),
            }),
            _ => Err(compiler.errors),
        }
    }

    /// Names of settings that filters read as `settings.NAME`, and of secrets in `secret_eq`.
    pub fn settings_used(&self) -> Vec<String> {
        self.settings_used.clone()
    }

    /// Which channel an item belongs to: a filter over the item, and the setting that equals its result.
    pub fn pick(&self) -> Option<(&Filter, &str)> {
        self.pick.as_ref().map(|(filter, setting)| (filter, setting.as_str()))
    }

    /// How long the parts of a long SMS are waited for; None: the manifest announces no parts.
    pub fn concat_timeout(&self) -> Option<Span> {
        self.message.concat.as_ref().map(|concat| concat.timeout)
    }

    /// Quiet time after which an album is whole, and the longest wait; None: the manifest announces no albums.
    pub fn album_window(&self) -> Option<(Span, Span)> {
        self.message.group.as_ref().map(|(_, window, max)| (*window, *max))
    }

    /// Takes a receipt apart. A fault of `each` is one of the whole receipt.
    pub fn run(&self, root: &Root, surroundings: &Surroundings<'_>) -> Result<Mapped, MappingFault> {
        let (room, mapped) = (Room::new(), Mapped::default());
        let mut run = Run { root, pick: self.pick(), receiver: surroundings, surroundings, room, mapped };
        let at_status = root.endpoint() == "status";
        match &self.receipts {
            Some(receipts) if at_status == (receipts.endpoint == ReceiptEndpoint::Status) => run.receipts(receipts)?,
            _ => {}
        }
        // What comes in where the reports do is never taken for a citizen's message.
        if !at_status {
            run.messages(&self.message)?;
        }
        let Mapped { messages, reports, faults, ignored, .. } = &mut run.mapped;
        if messages.is_empty() && reports.is_empty() && faults.is_empty() && *ignored == 0 {
            *ignored = 1;
        }
        Ok(run.mapped)
    }
}

/// One receipt on its way through the filters.
struct Run<'a> {
    root: &'a Root,
    pick: Option<(&'a Filter, &'a str)>,
    receiver: &'a Surroundings<'a>,
    /// Those of the channel that the item in hand belongs to.
    surroundings: &'a Surroundings<'a>,
    room: Room,
    mapped: Mapped,
}

impl Run<'_> {
    fn each(&self, filter: &Filter, key: &str) -> Result<Vec<Val>, MappingFault> {
        let root = self.root.value();
        let items = filter.all(root, root, self.surroundings);
        items.map_err(|reason| MappingFault { item: None, reason: format!("{key}: {reason}") })
    }

    fn first(&self, filter: &Filter, item: &Val) -> Result<Option<Val>, String> {
        filter.first(item, self.root.value(), self.surroundings)
    }

    fn messages(&mut self, fields: &Fields) -> Result<(), MappingFault> {
        for (place, item) in self.each(&fields.each, "message.each")?.iter().enumerate() {
            let owner = self.owner(item);
            self.surroundings = self.receiver.of(owner.as_ref().copied().unwrap_or_default());
            let read = owner.clone().and_then(|owner| {
                self.mapped.owners.messages.insert(place, owner);
                self.item(fields, place, item)
            });
            if let Err(reason) = read {
                self.fault(place, reason, owner.unwrap_or_default());
            }
        }
        self.surroundings = self.receiver;
        Ok(())
    }

    /// Whose the item is, as `pick` tells with what the receiver knows.
    fn owner(&mut self, item: &Val) -> Result<Owner, String> {
        let Some((filter, setting)) = self.pick else { return Ok(Owner::Receiver) };
        let wrong = |reason: String| format!("receive.pick: {reason}");
        let output = filter.first(item, self.root.value(), self.receiver).map_err(wrong)?;
        let value = self.room.text(&output.unwrap_or_default()).map_err(wrong)?;
        Ok(self.receiver.owner(setting, value.as_deref()))
    }

    fn fault(&mut self, place: usize, reason: String, owner: Owner) {
        self.mapped.owners.faults.insert(self.mapped.faults.len(), owner);
        self.mapped.faults.push(MappingFault { item: Some(place), reason });
    }

    /// A letter, a message, or nothing.
    fn item(&mut self, fields: &Fields, place: usize, item: &Val) -> Result<(), String> {
        if let Some(when) = &fields.when {
            let answer = self.first(when, item).map_err(|reason| format!("message.when: {reason}"))?;
            if !fields::is_true(answer.as_ref()) {
                self.mapped.ignored += 1;
                return Ok(());
            }
        }
        if let Some(mime) = &fields.mime {
            let letter = self.first(mime, item).map_err(|reason| format!("message.mime: {reason}"))?;
            if let Some(letter) = letter.filter(|letter| fields::is_true(Some(letter))) {
                return self.letter(fields, place, item, &letter);
            }
        }
        let mut message = self.message(fields, item)?;
        if let Some((auth, checks)) = self.auth(fields, item)? {
            message.auth = Some(auth);
            self.mapped.checks.extend(checks);
        }
        self.mapped.messages.push((place, message));
        Ok(())
    }

    fn message(&mut self, fields: &Fields, item: &Val) -> Result<Message, String> {
        self.room.lossy = false;
        let mut message = Message {
            id: self.text(fields.id.as_ref(), "id", item)?,
            from: self.text(fields.from.as_ref(), "from", item)?,
            to: self.text(fields.to.as_ref(), "to", item)?,
            identities: self.field(fields.identities.as_ref(), "identities", item, Room::identities)?,
            reply_address: self.text(fields.reply_address.as_ref(), "reply_address", item)?,
            conversation_key: self.text(fields.conversation_key.as_ref(), "conversation_key", item)?,
            sender_name: self.text(fields.sender_name.as_ref(), "sender_name", item)?,
            subject: self.text(fields.subject.as_ref(), "subject", item)?,
            text: self.text(fields.text.as_ref(), "text", item)?,
            language: self.text(fields.language.as_ref(), "language", item)?,
            action: self.text(fields.action.as_ref(), "action", item)?,
            edit_of: self.text(fields.edit_of.as_ref(), "edit_of", item)?,
            reply_to: self.text(fields.reply_to.as_ref(), "reply_to", item)?,
            references: self.field(fields.references.as_ref(), "references", item, Room::texts)?,
            location: self.field(fields.location.as_ref(), "location", item, Room::location)?,
            attachments: self.field(fields.attachments.as_ref(), "attachments", item, Room::attachments)?,
            unsupported: self.text(fields.unsupported.as_ref(), "unsupported", item)?,
            ..Message::default()
        };
        let zone = self.surroundings.timezone;
        message.sent_at =
            self.field(fields.sent_at.as_ref(), "sent_at", item, |_, value| fields::moment_of(value, zone))?;
        message.group = self.group(fields, item)?;
        // Of mail: the address without its detail, and the detail, as the reader of letters gives them.
        if let Some(found) = message.to.as_deref().and_then(|to| self.surroundings.ours.find(to)) {
            message.to = Some(found.address);
            message.reply_token = found.detail;
        }
        message.lossy = self.root.is_lossy() || self.room.lossy;
        Ok(message)
    }

    fn text(&mut self, filter: Option<&Filter>, key: &str, item: &Val) -> Result<Option<String>, String> {
        self.field(filter, key, item, Room::text)
    }

    /// A field read from the first output; absent when there is none.
    fn field<T: Default>(
        &mut self,
        filter: Option<&Filter>,
        key: &str,
        item: &Val,
        read: impl FnOnce(&mut Room, &Val) -> Result<T, String>,
    ) -> Result<T, String> {
        let Some(filter) = filter else { return Ok(T::default()) };
        let output = self.first(filter, item).map_err(|reason| format!("message.{key}: {reason}"))?;
        let Some(output) = output else { return Ok(T::default()) };
        read(&mut self.room, &output).map_err(|reason| format!("message.{key} {reason}"))
    }

    /// A part of a long SMS, or a member of an album.
    fn group(&mut self, fields: &Fields, item: &Val) -> Result<Option<Group>, String> {
        if let Some(concat) = &fields.concat
            && let Some(part) = self.part(concat, item)?
        {
            return Ok(Some(part));
        }
        let Some((key, ..)) = &fields.group else { return Ok(None) };
        Ok(self.text(Some(key), "group.key", item)?.map(|key| Group::Album { key }))
    }

    /// A number outside of 1 to 255, or beyond the total, makes a whole message of it: better a piece than nothing.
    fn part(&mut self, concat: &Concat, item: &Val) -> Result<Option<Group>, String> {
        if let Some(when) = &concat.when {
            let answer = self.first(when, item).map_err(|reason| format!("message.concat.when: {reason}"))?;
            if !fields::is_true(answer.as_ref()) {
                return Ok(None);
            }
        }
        let Some(key) = self.text(Some(&concat.reference), "concat.ref", item)? else { return Ok(None) };
        let number = |filter: &Filter, key: &str| {
            let output = self.first(filter, item).map_err(|reason| format!("message.concat.{key}: {reason}"))?;
            Ok::<_, String>(output.as_ref().and_then(fields::count).and_then(|count| u8::try_from(count).ok()))
        };
        let (part, total) = (number(&concat.part, "part")?, number(&concat.total, "total")?);
        Ok(match (part, total) {
            (Some(part @ 1..), Some(total)) if part <= total => Some(Group::Parts { key, part, total }),
            _ => None,
        })
    }

    fn receipts(&mut self, receipts: &Receipts) -> Result<(), MappingFault> {
        for (place, item) in self.each(&receipts.each, "receipts.each")?.iter().enumerate() {
            // Many manifests give a report without the account it is for: then it is the receiver's.
            let owner = self.owner(item).unwrap_or_default();
            match self.report(receipts, item) {
                Ok(Some(report)) => {
                    self.mapped.owners.reports.insert(self.mapped.reports.len(), owner);
                    self.mapped.reports.push(report);
                }
                Ok(None) => self.mapped.ignored += 1,
                Err(reason) => self.fault(place, reason, owner),
            }
        }
        Ok(())
    }

    /// None: a status that means nothing to us, or no id.
    fn report(&mut self, receipts: &Receipts, item: &Val) -> Result<Option<DeliveryReport>, String> {
        let mut read = |filter: &Filter, key: &str| {
            let output = self.first(filter, item).map_err(|reason| format!("receipts.{key}: {reason}"))?;
            self.room.text(&output.unwrap_or_default()).map_err(|reason| format!("receipts.{key} {reason}"))
        };
        let status = match read(&receipts.status, "status")?.as_deref() {
            Some("queued") => DeliveryStatus::Queued,
            Some("sent") => DeliveryStatus::Sent,
            Some("delivered") => DeliveryStatus::Delivered,
            Some("read") => DeliveryStatus::Read,
            Some("failed") => DeliveryStatus::Failed,
            _ => return Ok(None),
        };
        let Some(id) = read(&receipts.id, "id")? else { return Ok(None) };
        let error = match &receipts.error {
            Some(filter) => read(filter, "error")?,
            None => None,
        };
        Ok(Some(DeliveryReport { id, status, error }))
    }
}

#[cfg(test)]
mod tests;
