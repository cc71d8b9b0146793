//! `quorate participant run`: trains on one share of the built-in data until it is told to stop.

use quorate_participant::{Client, Step, Training, Why};
use quorate_sim::task::{Task, TaskKind, TaskOptions};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::args::RunArgs;
use super::{failure, runtime};
use crate::error::Failure;

/// Runs a device to its end.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let kind = TaskKind::from(args.task);
    let options = TaskOptions {
        participants: args.shard.of,
        dim: args.dim,
        seed: seed(args.seed),
        ..TaskOptions::default()
    };
    let task = kind.build(&options).map_err(Failure::usage)?;
    let train = trainer(task, args);
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut client = Client::builder(&args.state);
        if let Some(rounds) = args.rounds {
            client = client.rounds(rounds);
        }
        let mut client = client.open()?;
        let mut screen = Screen { json: args.json, connected: false, trouble: None };
        screen.say("open", &format!("party {} of {:?}", client.id().index, client.deployment()), None);
        tokio::select! {
            why = client.run_watched(train, |client, step| screen.show(client, step)) => why.map(Some),
            () = told_to_stop() => Ok(None),
        }
    });
    // Training that is under way is not waited for: nothing of it has to be saved.
    runtime.shutdown_background();
    match outcome {
        Ok(Some(Why::Rounds)) => Ok(()),
        Ok(Some(Why::Evicted)) => {
            Err(Failure::failed("the deployment does not let this device in any more: ask its operator"))
        }
        Ok(None) => Err(Failure::interrupted("run it again to go on; its state is on disk")),
        Err(error) => Err(failure(&error)),
    }
}

/// Trains on one share. A model that is none of the task's gives no update: the device sits that round out.
fn trainer(task: Box<dyn Task>, args: &RunArgs) -> impl FnMut(Training) -> (Vec<f32>, u64) + Send + 'static {
    let (index, seed) = (args.shard.index, seed(args.seed));
    move |training| match task.read_model(&training.model) {
        Some(model) => {
            let local = task.train(&model, index, training.round, &seed);
            (task.by_name(&local.delta), u64::from(local.examples))
        }
        None => {
            eprintln!("the model is not one of task {}: this device sits the round out", task.name());
            (Vec::new(), 0)
        }
    }
}

/// Ctrl-C, or the word of a service manager.
async fn told_to_stop() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// The seed of a split from its number.
fn seed(number: u64) -> [u8; 32] {
    let mut seed = [0; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, byte)| *to = byte);
    seed
}

/// What a person or a program sees of it.
struct Screen {
    json: bool,
    connected: bool,
    trouble: Option<String>,
}

impl Screen {
    fn show(&mut self, client: &Client, step: &Step) {
        self.connection(client);
        match step {
            Step::Train(training) => self.say("train", "training", Some(training.round)),
            Step::Counted { round } => self.say("counted", "counted", Some(*round)),
            Step::LeftOut { round } => self.say("left_out", "opened without this contribution", Some(*round)),
            Step::Refused { round, fault } => self.say("refused", &format!("refused: {fault}"), Some(*round)),
            Step::Missed { round, why } => self.say("missed", &format!("missed: {why}"), Some(*round)),
            Step::Serving { round } => self.say("serving", "on the committee", Some(*round)),
            Step::Answered { round } => self.say("answered", "committee answered", Some(*round)),
            Step::NotRenewed(refusal) => self.say("not_renewed", &refusal.to_string(), None),
            Step::Log(trouble) => self.say("log", &format!("audit log: {trouble}"), None),
            Step::Equivocation(evidence) => {
                let text = "the coordinator signed two manifests for one round";
                self.say("equivocation", text, Some(evidence.first.0.round));
            }
            Step::Wait { .. } | Step::Done(_) => {}
        }
    }

    /// Says once that a connection came or went.
    fn connection(&mut self, client: &Client) {
        let trouble = client.trouble().map(ToString::to_string);
        if client.is_connected() && !self.connected {
            self.say("connected", &format!("connected to {}", client.address()), None);
        } else if !client.is_connected() && trouble.is_some() && trouble != self.trouble {
            let text = format!("{}; trying again", trouble.as_deref().unwrap_or_default());
            self.say("offline", &text, None);
        }
        (self.connected, self.trouble) = (client.is_connected(), trouble);
    }

    fn say(&self, event: &str, text: &str, round: Option<u64>) {
        match (self.json, round) {
            (true, _) => println!("{}", json!({ "event": event, "round": round, "text": text })),
            (false, Some(round)) => println!("round {round}: {text}"),
            (false, None) => eprintln!("{text}"),
        }
    }
}
