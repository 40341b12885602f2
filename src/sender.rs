//! What the gateway remembers of one sender on one channel: fragments that wait, the last complaints, the last answers.
//! It is the value of the store's [`crate::store::SenderState`]; the stages change it, the store compares its version.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The memory of one sender.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sender {
}
impl std::fmt::Debug for Sender { fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { out.write_str("Sender(***)") } }

impl Sender {
    /// From the store's bytes; empty bytes are a sender never seen. Bytes that cannot be read give an error that names the cause.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> { let _ = bytes; todo!() }
    pub fn encode(&self) -> Vec<u8> { todo!() }
    /// When a timer has to look at it.
    pub fn deadline(&self) -> Option<Timestamp> { todo!() }
}
