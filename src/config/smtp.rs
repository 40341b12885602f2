//! `[smtp]`: our own mail server.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

/// Where mail is taken, and how much of it. Nothing is taken unless one of the two addresses is set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpSection {
    /// SMTP: what an MX record or a relay points at, like `0.0.0.0:25`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// LMTP: for a mail server on the same machine, like `127.0.0.1:24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmtp_listen: Option<SocketAddr>,
    /// The name that the server calls itself; that of `public_url` when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Certificate and key in PEM: with both STARTTLS is offered. Relative paths begin in the configuration's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of a letter, at most 32 MiB.
    pub max_size: Size,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    /// Letters of one address; more are asked to come again.
    pub letters_per_minute: u32,
    /// Relays of our own (CIDR): the limits of one address do not hold for them, and SPF says nothing of their letters.
    pub trusted_networks: Vec<String>,
    /// For a command, and for each piece of a letter.
    pub timeout: Span,
}

impl Default for SmtpSection {
    fn default() -> Self {
        Self {
            listen: None,
            lmtp_listen: None,
            hostname: None,
            certificate: None,
            key: None,
            max_size: Size::mib(25),
            max_connections: 500,
            max_connections_per_address: 20,
            letters_per_minute: 120,
            trusted_networks: Vec::new(),
            timeout: Span::from_secs(300),
        }
    }
}
