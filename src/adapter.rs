//! Adapters: one for each wire protocol. An adapter takes a journalled receipt apart into messages, and composes the
//! request of an answer and judges what came back. It is synchronous and pure: the shell sends what it composed.
//!
//! `webhook` is the declarative engine behind every HTTP provider. A new protocol is one file beside it and three lines here.

pub mod webhook;
