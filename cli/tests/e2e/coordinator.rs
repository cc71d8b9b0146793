//! A coordinator process in a folder, on a port that outlives it.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{FAULT, Process, quorate};

/// A coordinator: its folder, and the process while it runs.
pub struct Coordinator {
    folder: PathBuf,
    pub address: String,
    pub pin: String,
    pub process: Option<Process>,
}

/// What a deployment is made with.
pub struct Plan<'a> {
    pub parties: usize,
    pub task: &'a str,
    /// The initial model, if it is not the task's own.
    pub model: Option<Vec<u8>>,
    /// Changes of the configuration: dotted key, value.
    pub settings: Vec<(String, toml::Value)>,
}

impl<'a> Plan<'a> {
    /// A plan with stages of so many seconds: convene, contribute, check, lock, open.
    pub fn new(parties: usize, task: &'a str, stages: [u64; 5]) -> Self {
        let mut plan = Self { parties, task, model: None, settings: Vec::new() };
        for (name, seconds) in ["convene", "contribute", "check", "lock", "open"].iter().zip(stages) {
            plan.set(&format!("jobs.main.deadlines.{name}"), format!("{seconds}s"));
        }
        plan.set("epoch.wait", "2s");
        plan.set("epoch.patience", "5s");
        plan.set("results.folder", "results");
        plan.set("jobs.main.weight_bound", 10_000);
        plan
    }

    pub fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        self.settings.push((key.to_owned(), value.into()));
    }
}

impl Coordinator {
    /// Makes the folder; the port is one that is free now.
    pub fn make(folder: &Path, plan: &Plan<'_>) -> Self {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let parties = plan.parties.to_string();
        let mut init = quorate();
        init.args(["coordinator", "init"]).arg(folder).args(["--name", "e2e", "--listen", &address]);
        init.args(["--admin", "127.0.0.1:0", "--parties", &parties, "--task", plan.task]);
        let output = succeed(&mut init);
        let pin = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let coordinator = Self { folder: folder.to_owned(), address, pin, process: None };
        if let Some(model) = &plan.model {
            std::fs::write(folder.join("initial.safetensors"), model).unwrap();
        }
        coordinator.configure(&plan.settings);
        coordinator
    }

    fn configure(&self, settings: &[(String, toml::Value)]) {
        let mut table: toml::Table = std::fs::read_to_string(self.config()).unwrap().parse().unwrap();
        for (key, value) in settings {
            let (sections, key) = key.rsplit_once('.').unwrap();
            let mut at = &mut table;
            for section in sections.split('.') {
                at = at.entry(section).or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
            }
            at.insert(key.to_owned(), value.clone());
        }
        std::fs::write(self.config(), table.to_string()).unwrap();
        succeed(quorate().args(["coordinator", "check-config"]).arg(self.config()));
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("coordinator.toml")
    }

    /// Starts the process, to die at a fault point if that is a number but 0, and waits until it serves or has ended.
    pub fn start(&mut self, fault: &str) -> bool {
        let note = self.folder.join("running.json");
        let _ = std::fs::remove_file(&note);
        let mut run = quorate();
        run.args(["coordinator", "run", "--log-format", "json", "--config"]).arg(self.config());
        run.env(FAULT, fault);
        let mut process = Process::start(&mut run);
        let end = Instant::now() + LONG;
        while !note.exists() && process.status().is_none() {
            assert!(Instant::now() < end, "the coordinator does not start: {}", process.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        let runs = process.status().is_none();
        self.process = Some(process);
        runs
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        self.process().kill();
        assert!(self.start("0"), "{}", self.process().said());
    }

    pub fn tokens(&self, count: usize) -> Vec<String> {
        let mut create = quorate();
        create.args(["coordinator", "token", "create", "--site", "here", "--ttl", "1h", "--json"]);
        create.args(["--count", &count.to_string(), "--config"]).arg(self.config());
        let value: Value = serde_json::from_slice(&succeed(&mut create).stdout).unwrap();
        let list = value["tokens"].as_array().or(value.as_array()).unwrap();
        list.iter().map(|token| token["token"].as_str().or(token.as_str()).unwrap().to_owned()).collect()
    }

    /// The status, as the admin API gives it; `None` while it does not answer.
    pub fn status(&self) -> Option<Value> {
        self.ask(&["status"])
    }

    /// Where its admin port is, while it runs.
    pub fn admin(&self) -> Option<String> {
        let note = std::fs::read(self.folder.join("running.json")).ok()?;
        let note: Value = serde_json::from_slice(&note).ok()?;
        Some(note["admin"].as_str()?.to_owned())
    }

    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.folder.join("admin.token")).unwrap().trim().to_owned()
    }

    fn ask(&self, words: &[&str]) -> Option<Value> {
        let mut ask = quorate();
        ask.args(words).args(["--json", "--admin", &self.admin()?, "--admin-token-file"]);
        let output = ask.arg(self.folder.join("admin.token")).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }
}

/// Runs a command that has to succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Longer than anything that does not hang takes.
pub const LONG: Duration = Duration::from_secs(60);
