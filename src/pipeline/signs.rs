//! Signs of life: other gateways on the same store are told how far this one has read its journal, whatever its messages
//! are waiting for.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

use super::Pipeline;
use crate::clock;

/// How often, with other gateways and without.
const SHARED: Duration = Duration::from_millis(50);
const ALONE: Duration = Duration::from_millis(500);

/// What the pipeline's tasks share of it.
#[derive(Debug, Default)]
pub struct Signs {
    /// Everything that was replied to before stands in its lane; nanoseconds since 1970.
    read_through: AtomicI64,
    is_shared: AtomicBool,
}

impl Signs {
    pub fn read_through(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.read_through.load(Ordering::Acquire).into()).unwrap_or(Timestamp::MIN)
    }

    /// All that was replied to before stands in its lane now.
    pub fn raise(&self, through: Timestamp) {
        let nanos = i64::try_from(through.as_nanosecond()).unwrap_or(i64::MAX);
        self.read_through.fetch_max(nanos, Ordering::AcqRel);
    }

    /// Do other gateways share the store?
    pub fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    pub fn found(&self, is_shared: bool) {
        self.is_shared.store(is_shared, Ordering::Relaxed);
    }

    /// Gives signs until it is aborted: others wait for a gateway that stops as long as it works off what it has.
    pub async fn run(&self, pipeline: Pipeline) {
        loop {
            let period = if self.is_shared() { SHARED } else { ALONE };
            tokio::time::sleep(period).await;
            // The time before the look: what is replied to in between is not covered by it.
            let now = clock::now();
            if pipeline.journal.stats().backlog == 0 {
                self.raise(now);
            }
            // Without an answer, the next sign will tell; that the store is away is said by those who wait for it.
            if let Ok(is_shared) = pipeline.store.line_up(&[], self.read_through()).await {
                self.found(is_shared);
            }
        }
    }
}
