//! Loket, the front door of a public-complaint system.
//!
//! > A **receipt** is *verified*, *journalled* and **replied to**; then *parsed* into messages, *normalised*,
//! > *assembled* with its fragments, *conversed* about until it is a whole **complaint**, *routed*, *enqueued*,
//! > and *acknowledged* to the citizen.
//!
//! Each verb is one module and each arrow one type. The modules are listed in reading order; data goes one way, and
//! a test reads the `use crate::` lines and fails on an arrow that goes back.

// The model: plain values, and small tools with one meaning each.
pub mod receipt;
pub mod message;
pub mod complaint;
pub mod settings;
pub mod gateway;
pub mod units;
pub mod clock;
pub mod diagnostic;
pub mod secret;
pub mod network;
pub mod percent;
pub mod phone;
pub mod gsm;
pub mod telemetry;

// Verified, journalled.
pub mod signature;
pub mod journal;

// Parsed: adapters and channels.
pub mod mail;
pub mod mapping;
pub mod adapter;
pub mod channel;

// Normalised, assembled, conversed about, routed, acknowledged: pure stages.
pub mod sender;
pub mod locale;
pub mod agencies;
pub mod normalise;
pub mod assemble;
pub mod converse;
pub mod route;
pub mod acknowledge;

// What is handed to the pipeline: input and output that decide nothing.
pub mod store;
pub mod authenticity;
pub mod vault;
pub mod http;
pub mod tls;
pub mod outbox;
pub mod media;

// The order of the stages, and everything around it.
pub mod config;
pub mod pipeline;
pub mod letterbox;
pub mod poller;
pub mod mailbox;
pub mod telegram;
pub mod smtp;
pub mod server;
pub mod runtime;
pub mod demo;
pub mod cli;
