//! A client run to its end: training on a thread of its own, committee duties served meanwhile.

use tokio::task::{JoinHandle, spawn_blocking};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::error::ClientError;
use crate::step::{Missed, Step, Training, Why};

/// What training gave, and the function, to be called again.
type Trained<F> = (F, u64, Zeroizing<Vec<f32>>, u64);

impl Client {
    /// Takes part until there is nothing more to do. `train` gives the update (trained model minus the round's model)
    /// and its weight; it runs beside, one round at a time.
    ///
    /// # Errors
    /// As [`Client::tick`]; an update that comes too late is dropped, one that is not usable (an empty one, say, where
    /// `train` declines) costs the round: [`Missed::Update`].
    /// [`ClientError::Training`] if `train` panics.
    pub async fn run<F>(&mut self, train: F) -> Result<Why, ClientError>
    where
        F: FnMut(Training) -> (Vec<f32>, u64) + Send + 'static,
    {
        self.run_watched(train, |_, _| {}).await
    }

    /// The same, and tells every step as it comes.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub async fn run_watched<F, W>(&mut self, train: F, mut watch: W) -> Result<Why, ClientError>
    where
        F: FnMut(Training) -> (Vec<f32>, u64) + Send + 'static,
        W: FnMut(&Self, &Step),
    {
        let (mut idle, mut next) = (Some(train), None);
        let mut busy: Option<JoinHandle<Trained<F>>> = None;
        loop {
            let step = match &mut busy {
                None => self.tick().await?,
                Some(training) => tokio::select! {
                    step = self.tick() => step?,
                    trained = training => {
                        let (train, round, update, weight) = trained.map_err(|_| ClientError::Training)?;
                        (busy, idle) = (None, Some(train));
                        match self.submit(round, &update, weight).await {
                            Ok(_) | Err(ClientError::WrongRound { .. }) => {}
                            // Another job's model, a diverged training: this round goes on without the device, which
                            // serves on committees all the same.
                            Err(ClientError::Update(error)) => self.leave(Missed::Update(error)),
                            Err(error) => return Err(error),
                        }
                        start(&mut idle, &mut next, &mut busy);
                        continue;
                    }
                },
            };
            watch(self, &step);
            match step {
                Step::Train(training) => next = Some(training),
                Step::Done(why) => return Ok(why),
                _ => {}
            }
            start(&mut idle, &mut next, &mut busy);
        }
    }
}

/// Begins to train, if there is something to train on and nothing under way.
fn start<F>(idle: &mut Option<F>, next: &mut Option<Training>, busy: &mut Option<JoinHandle<Trained<F>>>)
where
    F: FnMut(Training) -> (Vec<f32>, u64) + Send + 'static,
{
    if next.is_none() || idle.is_none() {
        return;
    }
    if let (Some(mut train), Some(training)) = (idle.take(), next.take()) {
        *busy = Some(spawn_blocking(move || {
            let round = training.round;
            let (update, weight) = train(training);
            (train, round, Zeroizing::new(update), weight)
        }));
    }
}
