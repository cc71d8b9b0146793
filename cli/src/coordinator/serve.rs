//! `quorate coordinator run`: a node, its admin port, and the signals that end them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quorate_coordinator::admin::{Admin, AdminConfig, NodeSource};
use quorate_coordinator::assemble::assemble;
use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::events;
use quorate_coordinator::node::Node;
use quorate_coordinator::secrets::Secrets;
use quorate_coordinator::store::SqliteStore;
use quorate_sim::report::write_atomic;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::args::RunArgs;
use super::load;
use crate::error::Failure;

/// Runs until it is told to stop or cannot go on.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    args.log.init(&config.log)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let outcome = runtime.block_on(serve(&config, args.until_eof));
    // A read of standard input that waits still must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: &Config, until_eof: bool) -> Result<(), Failure> {
    let mut secrets = Secrets::load(config, &Environment::of_process()).map_err(Failure::usage)?;
    let token = secrets.admin.take();
    let parts = assemble(config, secrets).await.map_err(Failure::failed)?;
    let mut node = Node::start(config.listen, parts).await.map_err(Failure::failed)?;
    let address = node.local_address().map_err(Failure::failed)?;
    events::started(&config.deployment, address);
    let (stop, stopping) = watch::channel(false);
    let admin = match (&config.admin, token) {
        (Some(admin), Some(token)) => {
            let listener = TcpListener::bind(admin.listen);
            let listener = listener
                .await
                .map_err(|error| Failure::failed(format!("admin.listen = {}: {error}", admin.listen)))?;
            let store = SqliteStore::open(&config.database()).await.map_err(Failure::failed)?;
            let source = NodeSource { view: node.view(), store };
            let settings = AdminConfig { token, metrics_public: admin.metrics_public };
            Some(open(listener, settings, source, stopping)?)
        }
        _ => None,
    };
    let note = config.folder.join(RUNNING);
    write_note(&note, &node, (address, admin.as_ref().map(|(address, _)| *address)))?;
    let mut input = std::pin::pin!(input_ends(until_eof));
    let mut left = false;
    let mut ends = [signal(SignalKind::interrupt()), signal(SignalKind::terminate())];
    let outcome = loop {
        let [interrupt, terminate] = &mut ends;
        let (Ok(interrupt), Ok(terminate)) = (interrupt, terminate) else {
            return Err(Failure::failed("signals cannot be handled"));
        };
        tokio::select! {
            outcome = node.ended() => break outcome,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = &mut input, if !left => {
                left = true;
                node.stop();
            }
        }
        events::stopping(node.status().current.as_ref().map(|current| current.round));
        node.stop();
    };
    let _ = stop.send(true);
    if let Some((_, serving)) = admin {
        let _ = serving.await;
    }
    // Another start writes it anew.
    let _ = std::fs::remove_file(&note);
    outcome.map_err(Failure::failed)
}

/// Returns when standard input has ended, if that is asked for.
async fn input_ends(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let read = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // What cannot be read has ended too.
    let _ = read.await;
}

type Serving = (SocketAddr, JoinHandle<std::io::Result<()>>);

fn open(
    listener: TcpListener,
    settings: AdminConfig,
    source: NodeSource,
    stopping: watch::Receiver<bool>,
) -> Result<Serving, Failure> {
    let address = listener.local_addr().map_err(Failure::failed)?;
    events::admin_started(address, settings.metrics_public);
    let serving = tokio::spawn(Admin::serve(listener, settings, Arc::new(source), stopping));
    Ok((address, serving))
}

/// Tells where the coordinator runs, for whoever asked for any free port.
fn write_note(
    note: &Path,
    node: &Node,
    (address, admin): (SocketAddr, Option<SocketAddr>),
) -> Result<(), Failure> {
    let facts = serde_json::json!({
        "pid": std::process::id(),
        "address": address.to_string(),
        "admin": admin.map(|admin| format!("http://{admin}")),
        "pin": node.pin().to_string(),
    });
    write_atomic(note, format!("{facts}\n").as_bytes())
        .map_err(|error| Failure::failed(format!("{}: {error}", note.display())))
}

/// File in the coordinator's folder.
const RUNNING: &str = "running.json";
