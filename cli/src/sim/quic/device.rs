//! One device: it joins, trains where it is asked to, drops out where the seed says so.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate_keys::EnrolmentToken;
use quorate_participant::{Client, ClientError, Step, Training};
use quorate_sim::seed::{Purpose, Seed, unit};
use quorate_transport::{Refusal, TransportError};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::fleet::Crew;
use super::truth::Update;

/// What becomes of a device in a round.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// It hands nothing in, and serves on the committee.
    Silent,
    /// It hands nothing in, and its connection ends: on the committee too it is silent from then on.
    Leaves,
}

/// A training under way: the round and what it gave.
type Busy = Option<JoinHandle<(u64, Option<Update>)>>;

/// One of a fleet.
pub struct Device {
    pub crew: Arc<Crew>,
    pub folder: PathBuf,
}

impl Device {
    /// Joins and takes part for ever.
    pub async fn run(self, token: EnrolmentToken) -> Result<(), ClientError> {
        let place = self.crew.joining.acquire().await;
        let mut client = self.join(&token).await?;
        self.crew.joined();
        drop(place);
        let mut busy: Busy = None;
        loop {
            let step = tokio::select! {
                step = client.tick() => step?,
                trained = finished(&mut busy) => {
                    busy = None;
                    self.submit(&mut client, trained).await?;
                    continue;
                }
            };
            let index = client.id().index;
            match step {
                Step::Train(training) => match self.fate(training.round, index) {
                    Fate::Stays => busy = Some(self.train(index, training)),
                    Fate::Silent => {}
                    Fate::Leaves => client = self.reopen(client).await?,
                },
                // Who is not asked as participant as well.
                Step::Serving { round } if self.fate(round, index) == Fate::Leaves => {
                    client = self.reopen(client).await?;
                }
                Step::Refused { round, fault } => self.crew.refused(round, &fault),
                Step::Done(_) => return Ok(()),
                _ => {}
            }
        }
    }

    async fn join(&self, token: &EnrolmentToken) -> Result<Client, ClientError> {
        let (crew, mut tries) = (&self.crew, 0);
        loop {
            let token = EnrolmentToken::from_bytes(*token.expose());
            match self.builder().join(crew.address, crew.pin, token).await {
                Err(ClientError::Transport(error)) if tries < TRIES && passing(&error) => {
                    tries += 1;
                    sleep(AGAIN * tries).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// A crash as the coordinator sees it, and a start a moment later.
    async fn reopen(&self, client: Client) -> Result<Client, ClientError> {
        drop(client);
        sleep(AWAY).await;
        self.builder().open()
    }

    fn builder(&self) -> quorate_participant::Builder {
        Client::builder(&self.folder)
            .policy(self.crew.policy.clone())
            .plans(Arc::clone(&self.crew.plans))
            .connector(self.crew.connector.clone())
    }

    /// Trains on a blocking thread, when it is its turn.
    fn train(&self, index: u32, training: Training) -> JoinHandle<(u64, Option<Update>)> {
        let crew = Arc::clone(&self.crew);
        tokio::spawn(async move {
            let round = training.round;
            let turn = Arc::clone(&crew.training).acquire_owned().await;
            let work = spawn_blocking(move || {
                let setting = &crew.setting;
                let at = (round, index);
                let update = setting.truth.train(&*setting.task, at, &training.model)?;
                setting.truth.add(at, &update, &training.model);
                Some(update)
            });
            let update = work.await.ok().flatten();
            drop(turn);
            (round, update)
        })
    }

    async fn submit(
        &self,
        client: &mut Client,
        (round, update): (u64, Option<Update>),
    ) -> Result<(), ClientError> {
        let Some((update, weight)) = update else { return Err(ClientError::Training) };
        match client.submit(round, &update, weight).await {
            Ok(_) | Err(ClientError::WrongRound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The first number of the stream is the one the virtual simulator decides by.
    fn fate(&self, round: u64, index: u32) -> Fate {
        let config = &self.crew.setting.config;
        let mut coin = Seed(config.seed).rng(Purpose::Dropout, round, index);
        match (unit(&mut coin) < config.dropout, unit(&mut coin) < 0.5) {
            (false, _) => Fate::Stays,
            (true, false) => Fate::Silent,
            (true, true) => Fate::Leaves,
        }
    }
}

/// The end of a training; never, where there is none.
async fn finished(busy: &mut Busy) -> (u64, Option<Update>) {
    match busy {
        Some(training) => training.await.unwrap_or((0, None)),
        None => pending().await,
    }
}

/// Whether another try may help.
const fn passing(error: &TransportError) -> bool {
    !matches!(error, TransportError::Refused(Refusal::Token | Refusal::Invalid | Refusal::Unknown))
}

/// Tries to join before it is an error.
const TRIES: u32 = 8;
/// Pause before the second try, longer before each after that.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a device is away whose connection ended.
const AWAY: Duration = Duration::from_millis(500);
