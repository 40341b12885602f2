//! The outbox: sends what waits, by the channel's manifest, at its pace, and records what became of each try.
