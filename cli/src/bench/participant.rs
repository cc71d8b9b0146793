//! A whole participant through the real machine: announcement, roster, contribution.

use quorate_protocol::coordinator::RoundConfig;
use quorate_protocol::outbox::Output;
use quorate_protocol::participant::Participant;
use rand_core::CryptoRng;

use super::clock::{Samples, timed};
use super::setting::BenchError;
use super::world::{ROUND, World};

/// What a participant costs.
#[derive(Debug, Default)]
pub struct ParticipantFigures {
    /// Judging the announcement: signatures, proofs, the plan of the round.
    pub announce: Samples,
    /// Verifying the roster.
    pub roster: Samples,
    /// Quantising, expanding the matrix, masking, hashing, dealing, sealing, signing, encoding.
    pub contribute: Samples,
    /// All of it.
    pub total: Samples,
    /// Bytes of the upload.
    pub upload_bytes: usize,
    /// Bytes of announcement and roster.
    pub download_bytes: usize,
}

/// Lets `runs` participants contribute, each with nothing computed beforehand; the first does not count.
pub fn measure<R: CryptoRng + ?Sized>(
    world: &mut World,
    config: &RoundConfig,
    runs: usize,
    rng: &mut R,
) -> Result<ParticipantFigures, BenchError> {
    let update: Vec<f32> = (0..config.schema.dim).map(|i| ((i % 2001) as f32 - 1000.0) / 1100.0).collect();
    let mut figures = ParticipantFigures::default();
    for run in 0..=runs {
        let index = world.cohort[run % world.cohort.len()];
        let announce = world.announce(index, rng)?;
        let mut participant = world.participant(index);
        let refused = |_| BenchError::Round("announcing to a participant");
        let (announced, result) = timed(|| participant.handle(&announce, rng));
        result.map_err(refused)?;
        participant
            .check_model_hash(ROUND, &config.model)
            .map_err(|_| BenchError::Round("checking the model"))?;
        participant.trained(ROUND).map_err(|_| BenchError::Round("asking for the roster"))?;
        let roster = world.roster_for(index, rng)?;
        let refused = |_| BenchError::Round("showing a participant the roster");
        let (verified, result) = timed(|| participant.handle(&roster, rng));
        result.map_err(refused)?;
        let (contributed, result) = timed(|| participant.contribute(ROUND, &update, 1, rng));
        result.map_err(|_| BenchError::Round("contributing"))?;
        if run == 0 {
            figures.upload_bytes = uploaded(&mut participant);
            figures.download_bytes = announce.len() + roster.len();
            continue;
        }
        figures.announce.push(announced);
        figures.roster.push(verified);
        figures.contribute.push(contributed);
        figures.total.push(announced + verified + contributed);
    }
    Ok(figures)
}

fn uploaded(participant: &mut Participant) -> usize {
    let mut bytes = 0;
    while let Some(output) = participant.poll_output() {
        if let Output::Upload { frame, vector } = output {
            bytes += frame.len() + vector.len();
        }
    }
    bytes
}
