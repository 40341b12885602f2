//! Keys from the network: key sets and certificates are fetched ahead and kept, never while a request waits.
//!
//! A certificate that no request has named before is fetched when one does; that request is told to come again.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    channel::{Channel, ChannelSet, Slot},
    http::Http,
    units::Size,
};

/// How often the channels are asked what they want.
const LOOK: Duration = Duration::from_secs(1);
/// A key set is fetched anew after this, and a URL that gave nothing is tried again.
const FRESH: Duration = Duration::from_mins(10);
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// Largest key set or certificate.
const LARGEST: Size = Size::kib(256);
/// More URLs than this are not remembered; those that are left out are only fetched more often.
const MOST: usize = 10_000;

/// Runs until `stop` turns true.
pub async fn fetch(http: Http, channels: watch::Receiver<Arc<ChannelSet>>, mut stop: watch::Receiver<bool>) {
    let mut due: HashMap<String, Instant> = HashMap::new();
    loop {
        let set = channels.borrow().clone();
        for slot in set.slots.values() {
            if let Slot::Open(channel) = slot {
                fetch_for(&http, channel, &mut due).await;
            }
        }
        if due.len() > MOST {
            due.clear();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn fetch_for(http: &Http, channel: &Channel, due: &mut HashMap<String, Instant>) {
    for url in channel.verifier.wanted_urls() {
        // Each channel has a ring of its own, and gets a new one when it is opened again.
        let key = format!("{:p} {url}", Arc::as_ptr(channel.verifier.key_ring()));
        if due.get(&key).is_some_and(|due| *due > Instant::now()) {
            continue;
        }
        let fetched = http.fetch(&url, LARGEST).await.map_err(|error| error.to_string());
        let kept = fetched.and_then(|bytes| {
            let text = String::from_utf8_lossy(&bytes);
            channel.verifier.key_ring().put(&url, &text).map_err(|_| "it holds no key that can be used".to_owned())
        });
        let pause = if kept.is_ok() { FRESH } else { TRY_AGAIN };
        if let Err(reason) = kept {
            tracing::warn!(channel.id = %channel.facts.id, reason, "keys cannot be fetched; trying again");
        }
        due.insert(key, Instant::now() + pause);
    }
}
