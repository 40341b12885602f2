//! `loket demo`.

use std::{fs::File, net::SocketAddr, path::Path, thread, time::Duration};

use super::{Ending, output, serve::ending};
use crate::{
    demo::{
        self,
        phones::Side,
        story::{Conversation, Message, Story},
    },
    telemetry,
};

/// Starts the invented world, tells what happens, and leaves the page open until Ctrl-C unless `once`.
pub fn run(once: bool, listen: SocketAddr) -> Result<(), Ending> {
    telemetry::start_log("warn");
    let folder = demo::folder();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let told = runtime.block_on(async {
        let demo = demo::start(&folder, listen).await.map_err(ending)?;
        output::line(
            "Loket runs, with an invented SMS provider, mailboxes, a Telegram bot and a WhatsApp number beside it. Nothing leaves this machine.",
        );
        demo.tell(story).await?;
        output::line(&format!("\nWrite one yourself, and look into the queues: http://{}/", demo.page));
        output::line(&format!("The gateway's own interface:                   http://{}/docs", demo.gateway.address));
        if !once {
            output::line("Ctrl-C ends the demonstration; its temporary folder goes with it.");
            tokio::signal::ctrl_c().await?;
        }
        demo.gateway.stop().await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    wait_until_closed(&folder.join("data/store/lock"));
    // It was ours alone; what cannot be deleted is the system's to clean up.
    let _ = std::fs::remove_dir_all(&folder);
    told
}

/// The store's threads end a moment after everything else: they must not write any more when its folder goes.
fn wait_until_closed(lock: &Path) {
    let Ok(lock) = File::open(lock) else { return };
    for _ in 0..200 {
        if lock.try_lock().is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn story(story: &Story) {
    match story {
        Story::Message(message) => tell_message(message),
        Story::Conversation(conversation) => tell_conversation(conversation),
    }
}

fn tell_message(message: &Message) {
    let Message { from, text, status, tracking_id, queue, answer } = message;
    let writes = if from.contains('@') { "writes" } else { "texts " };
    output::line(&format!("\n  {from} {writes}   {text}"));
    output::line(&format!("  {status}, once the receipt is on the disk"));
    output::line(&format!("  queue `{queue}`  complaint {tracking_id}"));
    output::line(&format!("  {from} reads    {}", joined(answer, 29)));
}

fn tell_conversation(conversation: &Conversation) {
    let Conversation { citizen, lines, tracking_id, queue, files } = conversation;
    output::line(&format!("\n  {citizen}:"));
    for line in lines {
        let mark = if line.side == Side::Citizen { "  >" } else { "   " };
        output::line(&format!("  {mark} {}", joined(&line.words, 6)));
    }
    output::line(&format!("  queue `{queue}`  complaint {tracking_id}"));
    for file in files {
        output::line(&format!("  its file is {file}"));
    }
}

/// Several lines under each other; empty ones say nothing here.
fn joined(text: &str, indent: usize) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.join(&format!("\n{}", " ".repeat(indent)))
}
