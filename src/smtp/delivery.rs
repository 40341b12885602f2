//! A whole letter into the journal, once for each channel that it is for, and what its sender is told.

use std::{net::IpAddr, sync::Arc};

use super::{
    session::{Dialect, Recipient, Transaction},
    spool::Spool,
};
use crate::{
    channel::Channel,
    journal::JournalError,
    letterbox::Letterbox,
    mail::{Envelope, envelope::Protocol},
    receipt::ReceiptId,
};

/// A letter with everything that the session knows of it.
#[derive(Debug)]
pub struct Delivered {
    pub dialect: Dialect,
    pub transaction: Transaction,
    pub helo: Option<String>,
    pub is_encrypted: bool,
    pub peer: IpAddr,
}

/// One line for the letter (SMTP), or one for each recipient in their order (LMTP, RFC 2033, section 4.2). A letter for several channels
/// is a receipt of each; when one of them fails SMTP says that all did, and what is there already is known when it comes again.
pub async fn deliver(letterbox: &Letterbox, delivered: Delivered, spool: Spool) -> Vec<String> {
    let recipients = delivered.transaction.recipients.clone();
    let is_lmtp = delivered.dialect == Dialect::Lmtp;
    let lines = if is_lmtp { recipients.len() } else { 1 };
    let whole = match spool.whole().await {
        Ok(whole) => whole,
        Err(error) => {
            tracing::error!(%error, "a letter cannot be read back and is refused for now");
            return vec!["451 4.3.0 the letter could not be kept, try again".to_owned(); lines];
        }
    };
    let mut outcomes: Vec<(Arc<Channel>, Result<ReceiptId, JournalError>)> = Vec::new();
    for channel in channels(&recipients) {
        let envelope = envelope(&delivered, &recipients, &channel);
        let put = letterbox.put(&channel, &envelope, whole.bytes.clone(), Some(delivered.peer.to_canonical())).await;
        outcomes.push((channel, put.map(|durable| durable.ticket().receipt)));
    }
    if !is_lmtp {
        let worst = outcomes.iter().find(|(_, outcome)| outcome.is_err()).or(outcomes.first());
        return worst.map(|(_, outcome)| words(outcome)).into_iter().collect();
    }
    let of = |recipient: &Recipient| outcomes.iter().find(|(channel, _)| channel.id() == recipient.channel.id());
    recipients.iter().filter_map(of).map(|(_, outcome)| words(outcome)).collect()
}

/// Each once, in the order of the recipients.
fn channels(recipients: &[Recipient]) -> Vec<Arc<Channel>> {
    let mut channels: Vec<Arc<Channel>> = Vec::new();
    for recipient in recipients {
        if !channels.iter().any(|channel| channel.id() == recipient.channel.id()) {
            channels.push(recipient.channel.clone());
        }
    }
    channels
}

fn envelope(delivered: &Delivered, recipients: &[Recipient], channel: &Channel) -> Envelope {
    let ours = || recipients.iter().filter(|recipient| recipient.channel.id() == channel.id());
    let of_recipients = ours().flat_map(|recipient| &recipient.parameters);
    Envelope {
        protocol: Some(match delivered.dialect {
            Dialect::Smtp => Protocol::Smtp,
            Dialect::Lmtp => Protocol::Lmtp,
        }),
        mail_from: Some(delivered.transaction.mail_from.clone()),
        rcpt_to: ours().map(|recipient| recipient.address.clone()).collect(),
        helo: delivered.helo.clone(),
        parameters: delivered.transaction.parameters.iter().chain(of_recipients).cloned().collect(),
        tls: delivered.is_encrypted,
        place: None,
    }
}

fn words(outcome: &Result<ReceiptId, JournalError>) -> String {
    match outcome {
        Ok(receipt) => format!("250 2.0.0 taken as {receipt}"),
        Err(JournalError::Full(_)) => "452 4.3.1 no room for the letter now, try again".to_owned(),
        Err(_) => "451 4.3.0 the letter could not be kept, try again".to_owned(),
    }
}
