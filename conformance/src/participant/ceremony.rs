//! Ceremonies: one commitment an attempt, one reveal a commitment.

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels;
use quorate_crypto::ring::Suite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{PartyId, SignedHead, signed};
use quorate_protocol::epoch::{CeremonyParty, Commitment, EpochRecord};
use quorate_protocol::wire::{self, Call, Commit, Commitments, SeedReveal};

use super::{Played, Stop, begin, next};
use crate::report::Findings;
use crate::stage::{Stage, of};

pub(super) async fn play(stage: &mut Stage, script: &str, suite: Suite, findings: &mut Findings) -> Played {
    // Connected, with a head it has seen.
    begin(stage, 1, suite).await?;
    let record = record(stage, 2, 0);
    let (mark, epoch) = (stage.mark(), record.hash());
    let call = call(stage, &record);
    stage.send(&call);
    let commit: Commit = stage.frame(mark, 0).await.ok_or(Stop("it did not commit to an honest Call"))?;
    let other = other(stage, &record)?;
    let full = list(&record, epoch, &[other.clone(), commit.commitment.clone()]);
    match script {
        "ceremony" => honest(stage, (&record, &commit), (call, full), findings).await,
        "second-list" => {
            let another = list(&record, epoch, &[self::other(stage, &record)?, commit.commitment.clone()]);
            stage.send(&full);
            let first: SeedReveal = stage.frame(mark, 0).await.ok_or(Stop("it did not reveal"))?;
            stage.send(&another);
            let settled = next(stage, 2, suite).await;
            let second = |reveal: SeedReveal| reveal.reveal.signature != first.reveal.signature;
            let told = stage.has(mark, |event| of::<SeedReveal>(event, 0).is_some_and(second));
            findings.note("P-72", !told, || "it signed a second reveal".to_owned());
            settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
        }
        "short-list" => {
            stage.send(&list(&record, epoch, &[other]));
            let settled = next(stage, 2, suite).await;
            let told = stage.has(mark, |event| of::<SeedReveal>(event, 0).is_some());
            findings.note("P-73", !told, || "it revealed for a list without its commitment".to_owned());
            settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
        }
        _ => old(stage, suite, findings).await,
    }
}

/// A record of the next epoch: a puppet and the subject make the seed.
fn record(stage: &Stage, epoch: u64, restarts: u8) -> EpochRecord {
    let hall = &stage.hall;
    let parties = vec![hall.puppet(0), hall.subject];
    let first_round = 101;
    EpochRecord { epoch, restarts, parties, first_round, ..hall.evidence.record.clone() }
}

fn call(stage: &Stage, record: &EpochRecord) -> Vec<u8> {
    let hall = &stage.hall;
    let size = record.eligible.size;
    let head = SignedHead::sign(record.eligible, hall.registry.deployment(), &hall.coordinator);
    let call = Call {
        record: record.clone(),
        signature: hall.coordinator.sign(&record.signed_digest()),
        head_signature: head.signature,
        seen_proof: hall.registry.consistency(stage.seen().min(size), size).unwrap_or_default(),
        own_proof: hall.registry.inclusion(hall.subject.index, size).unwrap_or_default(),
    };
    wire::encode(0, &call)
}

fn other(stage: &mut Stage, record: &EpochRecord) -> Result<Commitment, Stop> {
    let Stage { hall, coins, .. } = stage;
    let key: &SigningKey = hall.puppets.first().ok_or(Stop("the kit has no puppet"))?;
    let made = CeremonyParty::commit(record.clone(), hall.puppet(0), key, coins);
    made.map(|(_, commitment)| commitment).map_err(|_| Stop("the kit's commitment does not work"))
}

fn list(record: &EpochRecord, epoch: Digest, commitments: &[Commitment]) -> Vec<u8> {
    let place = |made: &Commitment| record.parties.iter().position(|id| *id == made.id);
    let mut list = commitments.to_vec();
    list.sort_by_key(place);
    wire::encode(0, &Commitments { epoch, list })
}

async fn honest(
    stage: &mut Stage,
    (record, commit): (&EpochRecord, &Commit),
    (call, full): (Vec<u8>, Vec<u8>),
    findings: &mut Findings,
) -> Played {
    let again = stage.mark();
    stage.send(&call);
    let second: Commit = stage.frame(again, 0).await.ok_or(Stop("it did not answer the same Call again"))?;
    let key = stage.hall.registry.key(stage.hall.subject.index).ok_or(Stop("the subject is not enrolled"))?;
    let own = |id: &PartyId| *id == stage.hall.subject;
    let (epoch, id) = (record.hash(), stage.hall.subject.to_bytes());
    let made = commit.commitment.commitment;
    let fields: [&[u8]; 3] = [epoch.as_bytes(), &id, made.as_bytes()];
    let covered = signed(labels::SEED_COMMIT_SIGN, &record.deployment, 0, &fields);
    let fine = own(&commit.commitment.id) && key.verify(&covered, &commit.commitment.signature).is_ok();
    findings
        .note("P-70", second == *commit && fine, || "its commitment changes, or is not signed".to_owned());
    let key = key.clone();
    stage.send(&full);
    let told: SeedReveal = stage.frame(again, 0).await.ok_or(Stop("it did not reveal"))?;
    let (value, nonce) = (told.reveal.value, told.reveal.nonce);
    let opens = digest(labels::SEED_COMMIT, &[epoch.as_bytes(), &id, &value, &nonce]) == made;
    let Ok((_, _, body)) = wire::split(&full) else { return Err(Stop("the kit's list does not decode")) };
    let listed: Commitments = wire::decode_body(body).map_err(|_| Stop("the kit's list does not decode"))?;
    let mut hasher = FieldHasher::new(labels::SEED_COMMIT);
    hasher.field(epoch.as_bytes());
    for entry in &listed.list {
        hasher.field(&entry.id.to_bytes()).field(entry.commitment.as_bytes());
    }
    let listed = hasher.finish();
    let fields: [&[u8]; 5] = [epoch.as_bytes(), listed.as_bytes(), &id, &value, &nonce];
    let covered = signed(labels::SEED_REVEAL_SIGN, &record.deployment, 0, &fields);
    let fine = told.epoch == epoch && key.verify(&covered, &told.reveal.signature).is_ok();
    findings.note("P-71", opens && fine, || {
        "its reveal does not open its commitment, or is not signed".to_owned()
    });
    Ok(())
}

/// [EPOCH-1]: an attempt of the same number and restarts, of another record.
async fn old(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    let mut record = record(stage, 2, 0);
    record.rounds -= 1;
    let (mark, call) = (stage.mark(), call(stage, &record));
    stage.send(&call);
    let settled = next(stage, 2, suite).await;
    let told = stage.has(mark, |event| of::<Commit>(event, 0).is_some());
    findings.note("P-74", !told, || "it committed twice in one attempt".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}
