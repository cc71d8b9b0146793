//! A training loop of one's own around the participant: what an application embeds.
//!
//! ```text
//! cargo run --example embed -- FOLDER ADDRESS PIN TOKEN      the first time: joins
//! cargo run --example embed -- FOLDER                        ever after
//! ```
//!
//! Training is a stand-in; everything else is what it takes. A model is a safetensors file, and the coordinates of an
//! update are numbered as the numbers lie in it.

use std::error::Error;

use quorate_keys::parse_token;
use quorate_participant::{Client, Step, Training};
use quorate_protocol::policy::{NamedCommittee, Policy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut client = match words.as_slice() {
        [folder] => Client::builder(folder).open()?,
        [folder, address, pin, token] => {
            let token = parse_token(token)?;
            // The floors of this device: they win over whatever a round proposes.
            let policy = Policy { named: NamedCommittee::Refused, k_min: 10, ..Policy::default() };
            Client::builder(folder).policy(policy).join(address.parse()?, pin.parse()?, token).await?
        }
        _ => return Err("expected FOLDER, or FOLDER ADDRESS PIN TOKEN".into()),
    };
    let mut training = None;
    loop {
        // Ticks serve committee duties too: go on calling while training runs elsewhere.
        let step = tokio::select! {
            step = client.tick() => step?,
            trained = finished(&mut training) => {
                let (round, update, weight) = trained?;
                match client.submit(round, &update, weight).await {
                    Ok(clipped) => println!("round {round}: submitted, {clipped} coordinates clipped"),
                    Err(error) => println!("round {round}: {error}"),
                }
                continue;
            }
        };
        match step {
            Step::Train(round) => training = Some(tokio::task::spawn_blocking(move || train(&round))),
            Step::Wait { .. } => {
                if let Some(trouble) = client.trouble() {
                    println!("offline: {trouble}");
                }
            }
            Step::Done(why) => {
                println!("done: {why:?}");
                return Ok(());
            }
            other => println!("{other:?}"),
        }
    }
}

type Update = (u64, Vec<f32>, u64);

/// Waits for the training under way; for ever if there is none.
async fn finished(
    training: &mut Option<tokio::task::JoinHandle<Update>>,
) -> Result<Update, tokio::task::JoinError> {
    let Some(running) = training else { return std::future::pending().await };
    let update = running.await;
    *training = None;
    update
}

/// Trained model minus the round's model, and its weight.
fn train(round: &Training) -> Update {
    let header = round.model.first_chunk().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    let numbers = round.model.get(8 + header..).unwrap_or_default();
    let (model, _) = numbers.as_chunks::<4>();
    let update = model.iter().map(|word| -0.01 * f32::from_le_bytes(*word)).collect();
    (round.round, update, 1)
}
