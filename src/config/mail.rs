//! `[mail]`: what all letters share.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::authenticity::Resolver;

/// Letters, whatever brings them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MailSection {
    /// Where the DNS is asked for SPF, DKIM, DMARC and ARC of letters that our own server takes: `system`, `off`, or an
    /// address with a port.
    pub resolver: String,
}

impl Default for MailSection {
    fn default() -> Self {
        Self { resolver: "system".to_owned() }
    }
}

impl MailSection {
    /// None: the text is none of the three.
    pub fn resolver(&self) -> Option<Resolver> {
        match self.resolver.as_str() {
            "system" => Some(Resolver::System),
            "off" => Some(Resolver::Off),
            address => address.parse::<SocketAddr>().map(Resolver::At).ok(),
        }
    }
}
