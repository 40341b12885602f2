//! Adapters: one for each wire protocol. An adapter takes a journalled receipt apart into messages, and composes the
//! request of an answer and judges what came back. It is synchronous and pure: the shell sends what it composed.
//!
//! `webhook` is the declarative engine behind every HTTP provider. A new protocol is one file beside it and three lines here.

use std::sync::Arc;

use crate::{
    mapping::{Mapped, MappingFault},
    message::{DeliveryReport, Message},
    receipt::Origin,
};

pub mod webhook;

/// A receipt taken apart; only an adapter makes one.
#[derive(Debug)]
#[expect(clippy::manual_non_exhaustive, reason = "the private field keeps other modules from making one")]
pub struct Parsed {
    pub origin: Arc<Origin>,
    /// With their places in the receipt.
    pub messages: Vec<(usize, Message)>,
    pub reports: Vec<DeliveryReport>,
    /// What could not be read.
    pub faults: Vec<MappingFault>,
    /// Items that are no messages.
    pub ignored: u32,
    _made_by_an_adapter: (),
}

impl Parsed {
    fn new(origin: Origin, mapped: Mapped) -> Self {
        let Mapped { messages, reports, faults, ignored } = mapped;
        Self { origin: Arc::new(origin), messages, reports, faults, ignored, _made_by_an_adapter: () }
    }

    /// Nothing in it could be read.
    fn unreadable(origin: Origin, fault: MappingFault) -> Self {
        Self::new(origin, Mapped { faults: vec![fault], ..Mapped::default() })
    }
}
