//! Two rounds as they should be: everything the subject sends is opened and judged.

use quorate_crypto::ring::Suite;
use quorate_protocol::wire::{self, Answer, CheckBatch, Lock};

use super::{Played, Stop, begin, seat};
use crate::judge::{self, Checks, Opened};
use crate::report::Findings;
use crate::stage::{Event, Held, PUPPETS, Scene, Stage, of};

pub(super) async fn play(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    let played = rounds(stage, suite, findings).await;
    canonical(stage, findings);
    played
}

async fn rounds(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    let (manifest, key) = begin(stage, 1, suite).await?;
    let own = judge::round_key(&stage.hall, &manifest, &key);
    findings.note("P-01", own, || "the round key is of another manifest or id, or not signed".to_owned());
    let scene = seat(stage, (manifest, key.clone())).await?;
    let opened = contributed(stage, &scene, findings).await?;
    let model = scene.manifest.model;
    let fetched = stage.has(0, |event| matches!(event, Event::Model(hash) if *hash == model));
    findings.note("P-02", fetched, || "it contributed without fetching the model".to_owned());
    serve(stage, &scene, &opened, findings).await?;

    let (manifest, second) = begin(stage, 2, suite).await?;
    findings.note("P-17", second.key != key.key, || "one round key in two rounds".to_owned());
    let scene = seat(stage, (manifest, second)).await?;
    let again = contributed(stage, &scene, findings).await?;
    findings.note("P-16", again.secret != opened.secret, || "one secret masked two rounds".to_owned());
    Ok(())
}

/// Waits for the contribution to a round and opens it.
pub(super) async fn contributed(
    stage: &mut Stage,
    scene: &Scene,
    findings: &mut Findings,
) -> Result<Opened, Stop> {
    let made = stage.contribution(0, scene.manifest.round).await.ok_or(Stop("it contributed nothing"))?;
    let Stage { hall, coins, .. } = stage;
    let opened = judge::contribution((hall, scene), (&made.0, &made.1), coins, findings);
    opened.ok_or(Stop("its contribution does not open"))
}

/// Contributions of all puppets.
pub(super) fn puppets(stage: &mut Stage, scene: &Scene) -> Result<Vec<Held>, Stop> {
    let Stage { hall, coins, .. } = stage;
    let made = (0..PUPPETS).map(|index| scene.contribute(hall, index, coins));
    made.collect::<Result<_, _>>().map_err(|_| Stop("the kit's own contributions do not work"))
}

/// Waits for check entries about all these senders, from a mark on.
pub(super) async fn checked(
    stage: &mut Stage,
    scene: &Scene,
    mark: usize,
    senders: &[u32],
) -> Result<(Checks, bool), Stop> {
    let (mut checks, mut signed, mut from) = (Checks::default(), true, mark);
    while !senders.iter().all(|sender| checks.0.contains_key(sender)) {
        let batch: Option<CheckBatch> = stage.frame(from, scene.manifest.round).await;
        let batch = batch.ok_or(Stop("no check values came for an honest relay"))?;
        signed &= checks.take(&stage.hall, scene, &batch);
        let round = scene.manifest.round;
        // On from behind that batch.
        let at = stage.log.iter().skip(from).position(|event| of::<CheckBatch>(event, round).is_some());
        from += at.unwrap_or(0) + 1;
    }
    Ok((checks, signed))
}

async fn serve(stage: &mut Stage, scene: &Scene, own: &Opened, findings: &mut Findings) -> Played {
    let round = scene.manifest.round;
    let puppets = puppets(stage, scene)?;
    let mark = stage.mark();
    let all: Vec<_> =
        puppets.iter().map(|held| &held.contribution).chain([&own.contribution]).cloned().collect();
    let frame = wire::encode(round, &scene.relay(&stage.hall, &all));
    stage.send(&frame);
    let senders: Vec<u32> = all.iter().map(|made| made.header.sender.index).collect();
    let (checks, signed) = checked(stage, scene, mark, &senders).await?;
    findings.note("P-12", signed, || "a batch of check values is not signed for this session".to_owned());
    judge::checks(scene, &checks, (&puppets, own), findings);

    let close = scene.close(&stage.hall, &all);
    stage.send(&wire::encode(round, &close));
    let lock: Lock = stage.frame(mark, round).await.ok_or(Stop("it did not lock an honest set"))?;
    let fine = judge::lock(&stage.hall, scene, close.set, &lock);
    findings.note("P-14", fine, || "its lock is of another set, or not signed".to_owned());
    let mut locks = scene.locks(&stage.hall, close.set);
    locks.locks.push(lock);
    stage.send(&wire::encode(round, &locks));
    let answer: Answer = stage.frame(mark, round).await.ok_or(Stop("it did not answer Q locks"))?;
    let Stage { hall, coins, .. } = stage;
    let fine = judge::answer((hall, scene), (close.set, &answer), (&puppets, own), coins);
    findings.note("P-15", fine, || "its answer is not signed, or not the sum of its shares".to_owned());
    let frame = scene.result(&stage.hall, &close);
    stage.send(&frame);
    Ok(())
}

/// [WIRE-2] over all frames that came.
fn canonical(stage: &Stage, findings: &mut Findings) {
    for event in &stage.log {
        if let Event::Frame(frame) = event {
            let fine = crate::decode::explain(frame).is_ok();
            findings.note("P-03", fine, || "a frame is not canonical".to_owned());
        }
    }
}
