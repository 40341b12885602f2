//! Loket, the front door of a public-complaint system.
//!
//! > A **receipt** is *verified*, *journalled* and **replied to**; then *parsed* into messages, *normalised*,
//! > *assembled* with its fragments, *conversed* about until it is a whole **complaint**, *routed*, *enqueued*,
//! > and *acknowledged* to the citizen.
//!
//! Each verb is one module and each arrow one type. The modules are listed in reading order; data goes one way, and
//! a test reads the `use crate::` lines and fails on an arrow that goes back.

// The model: plain values.
pub mod receipt;
pub mod message;
pub mod complaint;
pub mod settings;
pub mod clock;

// Adapters and channels.
pub mod adapter;

// What is handed to the pipeline: input and output that decide nothing.
pub mod store;
