//! Route: ordered rules over the complaint give queue, priority and service-level clock. First match wins.
use std::{path::Path};
use crate::{agencies::Agencies, channel::Channel, complaint::Complaint, diagnostic::Diagnostic, units::Span};

/// The rules and the agencies table, compiled.
#[derive(Debug)]
pub struct Routing;

/// Where a complaint goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub queue: String,
    /// 0 to 9; 5 where no rule says otherwise, more is more urgent.
    pub priority: u8,
    pub service_level: Option<Span>,
    /// Name of the rule; None: the default queue.
    pub rule: Option<String>,
}

impl Routing {
    /// Reads `routing.toml` of the folder; a file that is not there is an empty one. All mistakes at once.
    pub fn load(folder: &Path, agencies: &Agencies) -> Result<Self, Vec<Diagnostic>> { let _ = (folder, agencies); todo!() }
    pub fn route(&self, complaint: &Complaint, channel: &Channel) -> Route { let _ = (complaint, channel); todo!() }
    /// Each rule with whether it matched, and why not.
    pub fn explain(&self, complaint: &Complaint, channel: &Channel) -> Vec<String> { let _ = (complaint, channel); todo!() }
}
