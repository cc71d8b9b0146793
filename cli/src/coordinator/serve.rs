//! `quorate coordinator run`: a node while the strongroom is open, its admin port, and what ends or seals them.
//!
//! ```text
//! start ── secrets open ──▶ Open ── ended, SIGTERM ──▶ end
//!   └── no unlock secret ──▶ Sealed ◀── seal ──┘ ▲
//!                              └──── unseal ─────┘        the admin port answers all the time
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_coordinator::admin::{Admin, AdminConfig, NodeSource};
use quorate_coordinator::assemble::assemble;
use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::control::{Answer, Control, Order, Request};
use quorate_coordinator::events;
use quorate_coordinator::node::{Node, NodeError};
use quorate_coordinator::secrets::{SecretError, Secrets};
use quorate_coordinator::store::SqliteStore;
use quorate_coordinator::strongroom::{Shared, Unlock};
use quorate_sim::report::write_atomic;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::args::RunArgs;
use super::load;
use super::rewrapping::rewrap;
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

/// A node that plays, and the strongroom while it does.
struct Open {
    node: Node,
    room: Shared,
}

/// Why there is no node.
enum Unopened {
    /// Another unlock secret, or the provider, would do.
    Sealed(String),
    /// Nothing but repair would do.
    Failed(Failure),
}

/// How a time with or without a node ended.
enum Next {
    Open(Open),
    Sealed(String),
    End(Result<(), Failure>),
}

/// What goes on through all of it.
struct Process<'a> {
    config: &'a Config,
    source: Option<Arc<NodeSource>>,
    admin: Option<SocketAddr>,
    control: Control,
    ends: Ends,
}

async fn serve(config: &Config, until_eof: bool) -> Result<(), Failure> {
    let ends = Ends::new(until_eof)?;
    let control = Control::open(&config.folder).map_err(|error| {
        Failure::failed(format!("the control socket in {}: {error}", config.folder.display()))
    })?;
    let mut next = match open(config, None).await {
        Ok(open) => Next::Open(open),
        Err(Unopened::Sealed(why)) => Next::Sealed(why),
        Err(Unopened::Failed(failure)) => return Err(failure),
    };
    let (stop, stopping) = watch::channel(false);
    let admin = admin(config, stopping).await?;
    let mut process = Process {
        config,
        source: admin.as_ref().map(|admin| Arc::clone(&admin.source)),
        admin: admin.as_ref().map(|admin| admin.address),
        control,
        ends,
    };
    let outcome = loop {
        next = match next {
            Next::Open(open) => process.play(open).await?,
            Next::Sealed(why) => process.wait(&why).await?,
            Next::End(outcome) => break outcome,
        };
    };
    let _ = stop.send(true);
    if let Some(admin) = admin {
        let _ = admin.serving.await;
    }
    // Another start writes it anew.
    let _ = std::fs::remove_file(process.note());
    outcome
}

/// Opens the secrets, with this unlock secret or the configured one, and begins to play.
async fn open(config: &Config, given: Option<Unlock>) -> Result<Open, Unopened> {
    let failed = |error: &dyn std::fmt::Display| Unopened::Failed(Failure::failed(error));
    let opened = Secrets::open(config, &Environment::of_process(), given).map_err(|error| match error {
        SecretError::Strongroom(error) if error.is_sealed() => Unopened::Sealed(error.to_string()),
        error => Unopened::Failed(Failure::usage(error)),
    });
    let (secrets, room) = opened?;
    let room = Shared::new(room);
    let parts = assemble(config, secrets, &room).await.map_err(|error| failed(&error))?;
    let node = Node::start(config.listen, parts).await.map_err(|error| failed(&error))?;
    let address = node.local_address().map_err(|error| failed(&error))?;
    events::started(&config.deployment, address);
    Ok(Open { node, room })
}

impl Process<'_> {
    /// Plays until the node ends or is sealed.
    async fn play(&mut self, open: Open) -> Result<Next, Failure> {
        let Open { mut node, room } = open;
        self.source.iter().for_each(|source| source.open(node.view()));
        let address = node.local_address().map_err(Failure::failed)?;
        self.write_note(Some((address, &node)))?;
        let mut sealing: Option<mpsc::Sender<Answer>> = None;
        let outcome: Result<(), NodeError> = loop {
            tokio::select! {
                outcome = node.ended() => break outcome,
                at_once = self.ends.next() => {
                    events::stopping(node.status().current.as_ref().map(|current| current.round));
                    node.stop();
                    if at_once {
                        node.stop();
                    }
                }
                Request { order, answers } = self.control.next() => match order {
                    Order::Seal => {
                        events::stopping(node.status().current.as_ref().map(|current| current.round));
                        node.seal();
                        sealing = Some(answers);
                    }
                    Order::Unseal(_) => reply(&answers, Answer::refused("it is not sealed")).await,
                    Order::Rewrap { rotate } => rewrap(&room, rotate, answers),
                },
            }
        };
        let Some(answers) = sealing else { return Ok(Next::End(outcome.map_err(Failure::failed))) };
        // Every key goes: those of the node, of the strongroom, and what the admin port holds of them.
        let why = "by the operator; quorate coordinator unseal ends it";
        self.source.iter().for_each(|source| source.seal(why));
        drop(node);
        room.lock().take();
        let said = match &outcome {
            Ok(()) => "sealed: its keys are wiped, parties are not served".to_owned(),
            Err(error) => format!("sealed; the node ended with: {error}"),
        };
        events::sealed(why);
        self.write_note(None)?;
        reply(&answers, Answer::done(&said)).await;
        Ok(Next::Sealed(why.to_owned()))
    }

    /// Waits, sealed, for an unlock secret.
    async fn wait(&mut self, why: &str) -> Result<Next, Failure> {
        self.source.iter().for_each(|source| source.seal(why));
        self.write_note(None)?;
        events::sealed(why);
        loop {
            let Request { order, answers } = tokio::select! {
                _ = self.ends.next() => return Ok(Next::End(Ok(()))),
                request = self.control.next() => request,
            };
            match order {
                Order::Seal => reply(&answers, Answer::done("it is sealed already")).await,
                Order::Rewrap { .. } => {
                    reply(&answers, Answer::refused("it is sealed: quorate coordinator unseal first")).await;
                }
                Order::Unseal(unlock) => match self.reopen(unlock).await {
                    Ok(open) => {
                        reply(&answers, Answer::done("unsealed: it serves parties")).await;
                        return Ok(Next::Open(open));
                    }
                    Err(Unopened::Sealed(why)) => reply(&answers, Answer::refused(&why)).await,
                    Err(Unopened::Failed(failure)) => {
                        reply(&answers, Answer::refused(&format!("it stays sealed: {}", failure.message())))
                            .await;
                    }
                },
            }
        }
    }

    /// Opens again. The connections of the node before hold the port for as long as quiet ones last: parties that were cut
    /// off in the middle of something are not heard of any more.
    async fn reopen(&self, unlock: Unlock) -> Result<Open, Unopened> {
        let end = Instant::now() + LINGER;
        while std::net::UdpSocket::bind(self.config.listen).is_err() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        open(self.config, Some(unlock)).await
    }

    fn note(&self) -> PathBuf {
        self.config.folder.join(RUNNING)
    }

    /// Tells where the coordinator runs, for whoever asked for any free port.
    fn write_note(&self, node: Option<(SocketAddr, &Node)>) -> Result<(), Failure> {
        let facts = serde_json::json!({
            "pid": std::process::id(),
            "address": node.as_ref().map(|(address, _)| address.to_string()),
            "admin": self.admin.map(|admin| format!("http://{admin}")),
            "pin": node.as_ref().map(|(_, node)| node.pin().to_string()),
            "sealed": node.is_none(),
        });
        let note = self.note();
        write_atomic(&note, format!("{facts}\n").as_bytes())
            .map_err(|error| Failure::failed(format!("{}: {error}", note.display())))
    }
}

async fn reply(answers: &mpsc::Sender<Answer>, answer: Answer) {
    // Who asked may have left.
    let _ = answers.send(answer).await;
}

/// What asks the process to end.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// Standard input, if its end counts.
    input: Option<JoinHandle<()>>,
}

impl Ends {
    fn new(until_eof: bool) -> Result<Self, Failure> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(interrupt), Ok(terminate)) = (interrupt, terminate) else {
            return Err(Failure::failed("signals cannot be handled"));
        };
        // What cannot be read has ended too.
        let read = || drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let input = until_eof.then(|| tokio::task::spawn_blocking(read));
        Ok(Self { interrupt, terminate, input })
    }

    /// Returns each time somebody asks; true if it is to be at once: standard input has ended.
    async fn next(&mut self) -> bool {
        let input = async {
            match &mut self.input {
                Some(input) => drop(input.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => return false,
            _ = self.terminate.recv() => return false,
            () = input => {}
        }
        self.input = None;
        true
    }
}

/// The admin port while it is served.
struct Served {
    address: SocketAddr,
    source: Arc<NodeSource>,
    serving: JoinHandle<std::io::Result<()>>,
}

async fn admin(config: &Config, stopping: watch::Receiver<bool>) -> Result<Option<Served>, Failure> {
    let token = Secrets::admin(config, &Environment::of_process()).map_err(Failure::usage)?;
    let (Some(admin), Some(token)) = (&config.admin, token) else { return Ok(None) };
    let listener = TcpListener::bind(admin.listen)
        .await
        .map_err(|error| Failure::failed(format!("admin.listen = {}: {error}", admin.listen)))?;
    // Opening would make an empty one, which has forgotten who is evicted.
    if !config.database().exists() {
        return Err(Failure::failed(format!("{} is not there: bring it back", config.database().display())));
    }
    let store = SqliteStore::open(&config.database()).await.map_err(Failure::failed)?;
    let source = Arc::new(NodeSource::new(config, store));
    let settings = AdminConfig { token, metrics_public: admin.metrics_public };
    let address = listener.local_addr().map_err(Failure::failed)?;
    events::admin_started(address, settings.metrics_public);
    let serving = tokio::spawn(Admin::serve(listener, settings, Arc::clone(&source), stopping));
    Ok(Some(Served { address, source, serving }))
}

/// Longest wait for the port at an unsealing.
const LINGER: Duration = Duration::from_secs(60);
/// File in the coordinator's folder.
const RUNNING: &str = "running.json";
