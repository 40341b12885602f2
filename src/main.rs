//! The `loket` program: sets up TLS, reads the command line, and hands over.

use std::process::ExitCode;

use clap::Parser as _;

/// Messages are many small texts: the system's allocator would take a third of the time of a mapping.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One TLS back end for everything; it can only fail when one was set before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    loket::cli::run(loket::cli::Arguments::parse())
}
