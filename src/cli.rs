//! The command line (DESIGN §6). Exit status: 0 done, 1 failed, 2 misused.
//!
//! What concerns files works on files; what concerns a running gateway asks it over HTTP, so that there is one way to do
//! each thing and no second process ever opens the store.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

mod channel;
mod client;
mod configuration;
mod demo;
mod output;
mod queue;
mod receipt;
mod route;
mod serve;

/// Loket takes in public complaints: SMS, mail, chat and web forms, into one queue, once, and never loses one.
#[derive(Debug, Parser)]
#[command(name = "loket", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve {
        /// Refuse to start when a channel cannot be opened
        #[arg(long)]
        strict: bool,
    },
    /// Show the whole way of a message, with nothing else installed: an invented provider, a phone on a web page, a queue
    Demo {
        /// End after the sample messages instead of waiting for Ctrl-C
        #[arg(long)]
        once: bool,
        /// Address of the page
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: std::net::SocketAddr,
    },
    /// Is the gateway of this configuration alive? For health checks where there is no shell
    Health,
    /// Channels and manifests
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Queues of a running gateway
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Receipts of a running gateway, and its quarantine
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Routing rules
    #[command(subcommand)]
    Route(RouteCommand),
    /// Print a JSON Schema
    Schema { what: SchemaKind },
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaKind {
    Complaint,
    Followup,
    Channel,
    Manifest,
    Config,
}

#[derive(Debug, Subcommand)]
enum ChannelCommand {
    /// Channels of the configuration folder, and why one cannot be opened
    List {
        #[arg(long)]
        json: bool,
    },
    /// Write a channel file for a manifest: asks for its settings
    New {
        /// Name of a manifest
        manifest: String,
        /// Id of the channel: a-z, 0-9 and -
        id: String,
        /// A setting, as name=value; secrets as name=env:NAME or name=file:PATH. Without it you are asked
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// Check manifests: lint, samples, and refusals derived from every sample
    Check {
        /// Manifest files, or folders of them. Default: the manifests folder and every channel
        paths: Vec<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Run captured requests through verification and mapping, without a server
    Try {
        /// Id of a channel, name of a manifest, or the path of a manifest
        channel: String,
        /// Raw HTTP requests: request line, headers, blank line, body; for a mailbox or a mail server, letters (`.eml`)
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[arg(long)]
        json: bool,
        /// Show what the mapping gives even if verification fails
        #[arg(long)]
        no_verify: bool,
    },
    /// Are a channel's credentials good?
    Doctor {
        id: String,
        /// Telegram: sets the webhook to this channel's URL
        #[arg(long)]
        set_webhook: bool,
        /// Telegram: deletes the webhook, whoever set it; what waits is kept
        #[arg(long, conflicts_with = "set_webhook")]
        delete_webhook: bool,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Queues and how they stand
    List {
        #[arg(long)]
        json: bool,
    },
    /// Depth, leases, dead letters and age of one queue
    Stats {
        queue: String,
        #[arg(long)]
        json: bool,
    },
    /// Look at entries without taking them
    Peek {
        queue: String,
        #[arg(long, default_value_t = 10)]
        max: usize,
        #[arg(long)]
        json: bool,
    },
    /// Show entries as they come, without taking them
    Tail {
        queue: String,
        #[arg(long)]
        json: bool,
    },
    /// Dead letters
    Dead {
        queue: String,
        #[arg(long)]
        json: bool,
    },
    /// Put dead letters back: those named, or all
    Requeue { queue: String, delivery_ids: Vec<String> },
}

#[derive(Debug, Subcommand)]
enum ReceiptCommand {
    /// Proof of receipt: every step with its time
    Show {
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// The quarantine
    List {
        #[arg(long)]
        json: bool,
    },
    /// Bring quarantined receipts back: those named, or all
    Replay { ids: Vec<String> },
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Which rule would take this complaint, and why not the others
    Explain {
        /// A complaint, or an event with one, as JSON
        file: PathBuf,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read every file and report all mistakes
    Check {
        #[arg(long)]
        json: bool,
    },
    /// The settings in force; secrets print as ***
    Show {
        #[arg(long)]
        json: bool,
    },
}

/// How a command ends when it does not succeed.
#[derive(Debug)]
pub enum Ending {
    /// Status 1: what was asked for did not work, or was found wanting. Said already.
    Failed,
    /// Status 2: the question was wrong.
    Misused(String),
    /// Status 1, with the cause.
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Ending {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Runs one command.
pub fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Serve { strict } => serve::run(strict),
        Command::Demo { once, listen } => demo::run(once, listen),
        Command::Health => client::Gateway::connect().and_then(|gateway| gateway.is_alive()),
        Command::Channel(command) => channel::run(command),
        Command::Queue(command) => queue::run(command),
        Command::Receipt(command) => receipt::run(command),
        Command::Route(RouteCommand::Explain { file, json }) => route::explain(&file, json),
        Command::Schema { what } => configuration::schema(what),
        Command::Config(command) => configuration::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ending::Failed) => ExitCode::from(1),
        Err(Ending::Misused(message)) => {
            eprintln!("loket: {message}");
            ExitCode::from(2)
        }
        Err(Ending::Error(error)) => {
            eprintln!("loket: {error:#}");
            ExitCode::from(1)
        }
    }
}
