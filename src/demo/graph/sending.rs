//! `POST /<phone number id>/messages`: what is sent to citizens, and marks on what they wrote.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    super::phones::{Bubble, Enclosed, Side, Tick},
    GraphApi, Verdict, chat_name, content,
    error::GraphError,
    media,
    people::Person,
    wamid,
};

impl GraphApi {
    pub(super) async fn message(self: &Arc<Self>, number: &str, body: &Value) -> Result<Value, GraphError> {
        if body["messaging_product"] != "whatsapp" {
            return Err(GraphError::invalid("The parameter messaging_product is required."));
        }
        if body["status"] == "read" {
            return self.mark_read(number, body["message_id"].as_str().unwrap_or_default());
        }
        let (to, recipient) = (body["to"].as_str(), body["recipient"].as_str());
        let input = to.or(recipient).ok_or_else(|| GraphError::invalid("The parameter to is required."))?;
        let kind = body["type"].as_str().unwrap_or("text");
        let mut bubble = self.bubble(kind, body).await?;
        let found = self.people().addressed(to, recipient);
        let Some((key, person)) = found.filter(|(_, person)| !person.has_blocked) else {
            return self.undelivered(number, input, GraphError::undeliverable());
        };
        let chat = chat_name(number, &key);
        if kind != "template" && !person.is_open(number, self.now()) {
            return self.undelivered(number, input, GraphError::re_engagement());
        }
        self.meter(&chat)?;
        let id = wamid();
        // Before anybody sees it, so that whoever has seen it may wait for its statuses.
        self.report(number, &person, &id);
        if kind == "reaction" {
            let emoji = body["reaction"]["emoji"].as_str().filter(|emoji| !emoji.is_empty()).map(str::to_owned);
            let of = body["reaction"]["message_id"].as_str().unwrap_or_default();
            self.phones.change(&chat, of, |bubble| bubble.reaction = emoji);
        } else {
            bubble.id.clone_from(&id);
            bubble.reply_to = body["context"]["message_id"].as_str().map(str::to_owned);
            bubble.tick = Tick::Delivered;
            bubble.document = body.clone();
            self.phones.add(&chat, bubble);
        }
        let mut contact = Map::new();
        contact.insert("input".to_owned(), json!(input));
        contact.extend(person.phone.iter().map(|phone| ("wa_id".to_owned(), json!(phone))));
        contact.extend(person.user_id.iter().map(|id| ("user_id".to_owned(), json!(id))));
        Ok(accepted(&Value::Object(contact), &id))
    }

    /// What the citizen will see.
    async fn bubble(&self, kind: &str, body: &Value) -> Result<Bubble, GraphError> {
        if kind == "reaction" {
            let is_whole = body["reaction"]["message_id"].is_string();
            return if is_whole {
                Ok(Bubble::new("", Side::Gateway, ""))
            } else {
                Err(GraphError::missing("message_id"))
            };
        }
        if media::KINDS.contains(&kind) {
            let caption = content::caption(&body[kind])?;
            let (id, file) = self.file_of(kind, &body[kind]).await?;
            let name = body[kind]["filename"].as_str().map(str::to_owned);
            let mut bubble = Bubble::new("", Side::Gateway, caption);
            bubble.file = Some(Enclosed { id, media_type: file.media_type.clone(), name });
            return Ok(bubble);
        }
        let bubble = content::of(kind, body)?;
        let name = body["template"]["name"].as_str().unwrap_or_default();
        let templates = &self.switches().templates;
        if kind == "template" && !templates.is_empty() && !templates.iter().any(|known| known == name) {
            return Err(GraphError::new(404, 132_001, "template name does not exist in the language"));
        }
        Ok(bubble)
    }

    /// Refuses at once, or accepts and says by a status that it failed.
    fn undelivered(&self, number: &str, input: &str, error: GraphError) -> Result<Value, GraphError> {
        if self.switches().verdict == Verdict::AtOnce {
            return Err(error);
        }
        let (id, person) = (wamid(), Person::with_phone(input, ""));
        self.status(&id, number, &person, &id, Tick::Failed, Some(&error));
        Ok(accepted(&json!({ "input": input, "wa_id": person.phone }), &id))
    }

    fn mark_read(&self, number: &str, id: &str) -> Result<Value, GraphError> {
        let found = self.phones.change_below(&chat_name(number, ""), id, |bubble| bubble.tick = Tick::Read);
        if found { Ok(json!({ "success": true })) } else { Err(GraphError::invalid("Invalid message ID")) }
    }
}

fn accepted(contact: &Value, id: &str) -> Value {
    json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [{ "id": id }] })
}
