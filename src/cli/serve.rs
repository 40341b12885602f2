//! `loket serve`.

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{Ending, client::configuration, output};
use crate::{
    runtime::{self, StartError, Strictness},
    telemetry,
};

pub fn run(strict: bool) -> Result<(), Ending> {
    let resolved = configuration()?;
    telemetry::start_log(&resolved.config.log);
    let strictness = if strict { Strictness::Strict } else { Strictness::Lenient };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let listen = resolved.config.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        // Before anything else, so that a signal during the start ends it in order.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut running = runtime::start(resolved, listener, strictness).await.map_err(ending)?;
        tracing::info!(address = %running.address, public_url = %running.app.gateway.public_url, "loket serves");
        if running.app.resolved.tokens.is_empty() {
            tracing::warn!("no token is set: /v1 refuses everybody; set LOKET_API_TOKEN");
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            part = running.broken() => {
                // What is accepted is in the journal; a new start begins where this one ended.
                return Err(Ending::Error(anyhow::anyhow!("the {part} has ended by itself: a defect, please report it")));
            }
        }
        tracing::info!("loket stops");
        running.stop().await;
        Ok(())
    });
    // A thread that a filter holds must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

/// Mistakes are shown in full; everything else in a line.
pub fn ending(error: StartError) -> Ending {
    match error {
        StartError::Mistakes(mistakes) => {
            output::diagnostics(&mistakes, false);
            Ending::Failed
        }
        StartError::Other(error) => Ending::Error(error),
    }
}
