//! Opens the store that the configuration names.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc};

use anyhow::Context as _;

use crate::{
    clock,
    complaint::hex,
    config::{ReplyAfter, Resolved, StoreChoice},
    store::{
        Store, StoreError, StoreLimits,
        embedded::EmbeddedStore,
        redis::{RedisOptions, RedisStore},
    },
};

/// An error keeps the gateway from starting: a folder that is in use, a server that would delete complaints. A server that is
/// away does not.
pub async fn open(resolved: Resolved) -> anyhow::Result<Arc<dyn Store>> {
    let limits = StoreLimits { max_attempts: resolved.config.queues.max_attempts };
    let data = &resolved.config.data_dir;
    let access = match &resolved.store {
        StoreChoice::Embedded => return Ok(Arc::new(EmbeddedStore::open(&data.join("store"), limits).await?)),
        StoreChoice::Redis(access) => access,
    };
    let options = RedisOptions {
        access: (**access).clone(),
        limits,
        window: resolved.config.retention.claims.signed(),
        waits_for_disk: resolved.config.reply_after == ReplyAfter::Queue,
        gateway: gateway_id(&data.join("gateway-id"))?,
    };
    let store = RedisStore::new(options);
    match store.durability().await {
        Ok((text, true)) => tracing::warn!(store = %access.deployment, "{text}"),
        Ok((text, false)) => tracing::info!(store = %access.deployment, "{text}"),
        Err(StoreError::Broken(text)) => anyhow::bail!("{}: {text}", access.deployment),
        Err(StoreError::Away(reason)) => {
            tracing::warn!(reason, "the store is away; receipts are taken in and wait in the journal");
        }
    }
    Ok(Arc::new(store))
}

/// What other gateways know this one by. It is drawn once and stays with the data, so that a gateway that comes back is
/// known to be the same.
fn gateway_id(path: &Path) -> anyhow::Result<[u8; 8]> {
    let place = || format!("the gateway's id in {}", path.display());
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let number = u64::from_str_radix(text.trim(), 16);
            let number = number.with_context(|| format!("{} is damaged; delete the file", place()))?;
            Ok(number.to_be_bytes())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = clock::random::<8>();
            // Renamed when it is whole, so that a crash leaves nothing that is half an id.
            let new = path.with_extension("new");
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new).with_context(place)?;
            file.write_all(hex(&id).as_bytes()).and_then(|()| file.sync_all()).with_context(place)?;
            std::fs::rename(&new, path).with_context(place)?;
            Ok(id)
        }
        Err(error) => Err(error).with_context(place),
    }
}
