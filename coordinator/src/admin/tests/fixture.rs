//! A source with fixed answers, a running API, a client that knows nothing of HTTP but lines.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::admin::keys::{ComplianceAnswer, KeyRow};
use crate::rows::RoundOutcome;
use crate::status::JobStatus;

pub(super) const TOKEN: &str = "000102030405060708090a0b0c0d0e0f";

pub(super) struct Source {
    pub(super) status: Arc<Status>,
    pub(super) fails: bool,
}

/// A coordinator in order.
pub(super) fn ready() -> Source {
    let job = JobStatus {
        caveat: None,
        name: "digits".into(),
        mode: "masked".into(),
        version: 4,
        model: "ab".repeat(32),
        opened: 4,
        aborted: 0,
        rounds: Some(30),
        waiting: None,
    };
    let status = Status {
        deployment: "study".into(),
        ready: true,
        connected: Arc::new(vec![0, 5]),
        jobs: BTreeMap::from([("digits".into(), job)]),
        ..Status::default()
    };
    Source { status: Arc::new(status), fails: false }
}

fn row(number: u64) -> RoundRow {
    RoundRow {
        number,
        job: "digits".into(),
        mode: "masked".into(),
        started: 1_000 * number,
        ended: Some(1_000 * number + 500),
        outcome: Some(RoundOutcome::Opened),
        reason: None,
        invited: 8,
        accepted: 7,
        included: Some(6),
        set_root: Some("cd".repeat(32)),
        model_version: Some(number),
    }
}

impl Source {
    fn give<T>(&self, value: T) -> Result<T, Unavailable> {
        if self.fails { Err(Unavailable) } else { Ok(value) }
    }
}

impl AdminSource for Source {
    fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }
    fn tally(&self) -> Tally {
        Tally::default()
    }
    fn counts(&self) -> Counts {
        Counts { members: 2, handshakes: 0, strangers: 0, retried: 0, accepted: 2, refused: 0, certified: 7 }
    }
    async fn rounds(&self, query: RoundQuery) -> Result<Vec<RoundRow>, Unavailable> {
        let rows = (1..10).rev().map(row).filter(|row| query.job.as_ref().is_none_or(|job| *job == row.job));
        let rows = rows.filter(|row| query.before.is_none_or(|before| row.number < before));
        self.give(rows.take(query.limit() as usize).collect())
    }
    async fn round(&self, number: u64) -> Result<Option<RoundRow>, Unavailable> {
        self.give((1..10).contains(&number).then(|| row(number)))
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>, Unavailable> {
        let node = NodeRow {
            index: 0,
            key_hash: "ef".repeat(32),
            site: "north".into(),
            enrolled: 5,
            evicted: None,
            reason: None,
            connected: true,
        };
        self.give(vec![node])
    }
    fn keys(&self) -> Arc<KeyBook> {
        let row = |key: &str, state: &str| KeyRow {
            key: key.into(),
            state: state.into(),
            algorithm: "ed25519".into(),
            fingerprint: "aa".repeat(32),
            owner: "coordinator".into(),
            created: 1,
            activated: Some(2),
            retiring: None,
            retired: None,
            destroyed: None,
            compromised_since: None,
            predecessor: None,
            uses: 7,
        };
        let keys = vec![
            row("coordinator/identity@1", "destroyed"),
            row("coordinator/identity@2", "active"),
            row("model/global@3", "active"),
        ];
        let checkpoint = "quorate/x/1\n3\nroot\n".into();
        Arc::new(KeyBook { keys, compliance: ComplianceAnswer::default(), checkpoint })
    }
    async fn orders(&self) -> Result<Vec<OrderRow>, Unavailable> {
        let order = "{}".to_owned();
        self.give(vec![OrderRow { digest: "ab".into(), order, submitted: 1, ended: None, outcome: None }])
    }
    async fn submit(&self, order: Vec<u8>, _: u64) -> Result<String, NotTaken> {
        self.give(())?;
        match order.as_slice() {
            b"good" => Ok("ab".repeat(32)),
            b"alone" => Err(NotTaken::NotApproved("1 of 2 approvers".into())),
            b"twice" => Err(NotTaken::Before),
            _ => Err(NotTaken::Form),
        }
    }
    async fn models(&self, _: ModelQuery) -> Result<Vec<ModelRow>, Unavailable> {
        let model = ModelRow {
            job: "digits".into(),
            version: 4,
            hash: "ab".repeat(32),
            round: 9,
            created: 5,
            bytes: 9,
        };
        self.give(vec![model])
    }
}

/// An API that serves.
pub(super) struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(super) async fn begin(source: Source, metrics_public: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let token = AdminToken::new(Zeroizing::new(TOKEN.to_owned())).unwrap();
        let config = AdminConfig { token, metrics_public };
        let serving = tokio::spawn(Admin::serve(listener, config, Arc::new(source), stopped));
        Self { address, stop, serving }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads to the end.
    pub(super) async fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = self.connect().await;
        // Whoever is cut off may not get rid of all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        said
    }

    pub(super) async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> Said {
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let said = self.raw(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n")).await;
        answer(&said)
    }

    /// Stops it and waits for the end.
    pub(super) async fn end(self) {
        self.stop.send(true).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

/// An answer.
pub(super) struct Said {
    pub(super) code: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

pub(super) fn answer(bytes: &[u8]) -> Said {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let code = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Said { code, headers, body: body.to_owned() }
}
