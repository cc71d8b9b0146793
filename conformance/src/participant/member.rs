//! Sets that a member may not lock, and openings it may not answer.

use quorate_crypto::hash::sha256;
use quorate_crypto::ring::Suite;
use quorate_protocol::id::SetId;
use quorate_protocol::statement::{CloseStatement, Header};
use quorate_protocol::wire::{self, Answer, Close, Contribution, Lock, Locks};

use super::honest::{checked, contributed, puppets};
use super::{Played, Stop, begin, next, seat};
use crate::report::Findings;
use crate::stage::{Scene, Stage, of, sign};

pub(super) async fn play(stage: &mut Stage, script: &str, suite: Suite, findings: &mut Findings) -> Played {
    let begun = begin(stage, 1, suite).await?;
    let scene = seat(stage, begun).await?;
    let own = contributed(stage, &scene, &mut Findings::default()).await?;
    let held = puppets(stage, &scene)?;
    let mut all: Vec<_> = held.into_iter().map(|held| held.contribution).collect();
    all.push(own.contribution);
    let mark = stage.mark();
    let frame = wire::encode(1, &scene.relay(&stage.hall, &all));
    stage.send(&frame);
    let senders: Vec<u32> = all.iter().map(|made| made.header.sender.index).collect();
    checked(stage, &scene, mark, &senders).await?;
    match script {
        "second-set" => second_set(stage, (&scene, &all), suite, findings).await,
        "few-locks" | "one-lock-often" => too_few(stage, script, (&scene, &all), findings, suite).await,
        "late-opening" => late(stage, (&scene, &all), suite, findings).await,
        script => unlocked(stage, script, (&scene, &all), findings, suite).await,
    }
}

/// Whether a lock or an answer of this round names a set.
fn locked(stage: &Stage, mark: usize, set: SetId) -> bool {
    stage.has(mark, |event| of::<Lock>(event, 1).is_some_and(|lock| lock.set == set))
}

fn answered(stage: &Stage, mark: usize, set: Option<SetId>) -> bool {
    stage.has(mark, |event| {
        of::<Answer>(event, 1).is_some_and(|answer| set.is_none_or(|set| answer.set == set))
    })
}

async fn lock(stage: &mut Stage, mark: usize, close: &Close) -> Result<Lock, Stop> {
    stage.send(&wire::encode(1, close));
    let set = close.set;
    let lock = stage.until(mark, |event| of::<Lock>(event, 1).filter(|lock| lock.set == set)).await;
    lock.ok_or(Stop("it did not lock an honest set"))
}

/// [OPEN-1]: after one set another, closed and locked by all others.
async fn second_set(
    stage: &mut Stage,
    (scene, all): (&Scene, &[Contribution]),
    suite: Suite,
    findings: &mut Findings,
) -> Played {
    let mark = stage.mark();
    let (first, second) = (scene.close(&stage.hall, all), scene.close(&stage.hall, &all[1..]));
    lock(stage, mark, &first).await?;
    let locks = |set: SetId| scene.locks(&stage.hall, set);
    let (to_second, to_first) = (locks(second.set), locks(first.set));
    stage.send(&wire::encode(1, &second));
    stage.send(&wire::encode(1, &to_second));
    stage.send(&wire::encode(1, &to_first));
    // And once more, after it has answered for the first.
    stage.send(&wire::encode(1, &second));
    stage.send(&wire::encode(1, &to_second));
    let settled = next(stage, 2, suite).await;
    let (locked, answered) = (locked(stage, mark, second.set), answered(stage, mark, Some(second.set)));
    findings.note("P-50", !locked, || "it locked two sets of one round".to_owned());
    findings
        .note("P-51", !answered, || "it answered for a second set: the difference is one update".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

/// [OPEN-1]: fewer than Q members have locked the set.
async fn too_few(
    stage: &mut Stage,
    script: &str,
    (scene, all): (&Scene, &[Contribution]),
    findings: &mut Findings,
    suite: Suite,
) -> Played {
    let mark = stage.mark();
    let close = scene.close(&stage.hall, all);
    let own = lock(stage, mark, &close).await?;
    let mut locks = scene.locks(&stage.hall, close.set).locks;
    let q = usize::from(scene.manifest.committee.q);
    locks.truncate(q - 2);
    locks.push(own);
    let id = if script == "few-locks" { "P-52" } else { "P-53" };
    if script == "one-lock-often" {
        while locks.len() < q + 1 {
            locks.push(own);
        }
    }
    stage.send(&wire::encode(1, &Locks { locks }));
    let settled = next(stage, 2, suite).await;
    findings.note(id, !answered(stage, mark, None), || "it answered".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

/// [OPEN-2]: sets that are no sets.
async fn unlocked(
    stage: &mut Stage,
    script: &str,
    (scene, all): (&Scene, &[Contribution]),
    findings: &mut Findings,
    suite: Suite,
) -> Played {
    let (id, close) = wrong(stage, script, scene, all)?;
    let mark = stage.mark();
    stage.send(&wire::encode(1, &close));
    let settled = next(stage, 2, suite).await;
    findings.note(id, !locked(stage, mark, close.set), || "it locked that set".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

fn wrong(
    stage: &mut Stage,
    script: &str,
    scene: &Scene,
    all: &[Contribution],
) -> Result<(&'static str, Close), Stop> {
    let n_min = scene.manifest.cohort.n_min as usize;
    let Stage { hall, coins, .. } = stage;
    let mut headers: Vec<Header> = all.iter().map(|made| made.header).collect();
    headers.sort_by_key(|header| header.sender.index);
    Ok(match script {
        "small-set" => ("P-54", scene.close(hall, &all[..n_min - 1])),
        "unordered-set" => {
            headers.swap(0, 1);
            ("P-55", scene.close_as(hall, &headers))
        }
        "unknown-leaf" => {
            // Signed by its sender, and relayed to nobody.
            let other = scene.contribute(hall, 0, coins).map_err(|_| Stop("the kit's set does not work"))?;
            headers[0] = other.contribution.header;
            ("P-56", scene.close_as(hall, &headers))
        }
        "other-root" => {
            let mut close = scene.close(hall, all);
            close.set.root = sha256(&[b"another root"]);
            close.signature = sign(&CloseStatement(close.set), &scene.context, &hall.coordinator);
            ("P-57", close)
        }
        _ => {
            let mut close = scene.close(hall, all);
            close.signature = sign(&CloseStatement(close.set), &scene.context, &hall.puppets[0]);
            ("P-58", close)
        }
    })
}

/// [OPEN-3]: the round key has gone with the next manifest.
async fn late(
    stage: &mut Stage,
    (scene, all): (&Scene, &[Contribution]),
    suite: Suite,
    findings: &mut Findings,
) -> Played {
    let mark = stage.mark();
    let close = scene.close(&stage.hall, all);
    lock(stage, mark, &close).await?;
    begin(stage, 2, suite).await?;
    let locks = scene.locks(&stage.hall, close.set);
    let after = stage.mark();
    stage.send(&wire::encode(1, &close));
    stage.send(&wire::encode(1, &locks));
    let settled = next(stage, 3, suite).await;
    findings.note("P-65", !answered(stage, after, None), || "it opened a round that was over".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}
