//! Announcements that no party may act on, and what must not follow from them.

use quorate_crypto::hash::sha256;
use quorate_crypto::ring::Suite;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{Registry, SignedHead};
use quorate_protocol::manifest::{CommitteeShape, Manifest, Mode, model_hash};
use quorate_protocol::statement::ManifestStatement;
use quorate_protocol::wire::{self, Announce, Roster, RoundKey};

use super::{Played, Stop, begin, next, seat, trained};
use crate::report::Findings;
use crate::stage::{Event, Receipt, Scene, Stage, of, sign};

pub(super) async fn play(stage: &mut Stage, script: &str, suite: Suite, findings: &mut Findings) -> Played {
    match script {
        "two-manifests" => two_manifests(stage, suite, findings).await,
        "old-round" => old_round(stage, suite, findings).await,
        "other-model" => other_model(stage, suite, findings).await,
        "lost-receipt" => lost_receipt(stage, suite, findings).await,
        script => refused(stage, script, suite, findings).await,
    }
}

/// Whether the subject did anything under a manifest: a round key, its model, an upload.
fn acted(stage: &Stage, mark: usize, manifest: &Manifest) -> bool {
    let (mh, round) = (manifest.hash(), manifest.round);
    stage.has(mark, |event| match event {
        Event::Model(hash) => *hash == manifest.model,
        Event::Begun(of) | Event::Contribution { round: of, .. } => *of == round,
        event => of::<RoundKey>(event, round).is_some_and(|key| key.mh == mh),
    })
}

/// A manifest of a model that no other has, so that asking for it is acting on this one.
fn marked(stage: &Stage, mut manifest: Manifest) -> Manifest {
    let model = [stage.hall.model.as_slice(), &[b' '; 8]].concat();
    manifest.model = model_hash(&model);
    stage.set(|facts| facts.models.push(model.into()));
    manifest
}

/// One wrong announcement of round 1, then an honest one of round 2.
async fn refused(stage: &mut Stage, script: &str, suite: Suite, findings: &mut Findings) -> Played {
    // Connected, and it has told which head it has seen.
    begin(stage, 1, suite).await?;
    let id = match script {
        "unsigned-manifest" => "P-23",
        "other-deployment" => "P-24",
        "outside-epoch" => "P-25",
        "other-seed" => "P-26",
        "forked-registry" => "P-27",
        "other-keys" => "P-28",
        "plain-mode" => "P-31",
        "small-cohort" => "P-32",
        "weak-committee" => "P-33",
        "wrong-quorum" => "P-34",
        "long-key-life" => "P-35",
        _ => return Err(Stop("the kit has no such script")),
    };
    let manifest = marked(stage, stage.hall.manifest(2, suite));
    let announce = wrong(stage, script, manifest);
    let manifest = announce.manifest.clone();
    let mark = stage.mark();
    stage.send(&wire::encode(manifest.round, &announce));
    let settled = next(stage, 3, suite).await;
    findings.note(id, !acted(stage, mark, &manifest), || "it acted on that manifest".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

fn wrong(stage: &Stage, script: &str, mut manifest: Manifest) -> Announce {
    let hall = &stage.hall;
    match script {
        "other-deployment" => manifest.deployment = sha256(&[b"another"]),
        "outside-epoch" => manifest.round = 101,
        "other-seed" => manifest.seed = sha256(&[b"chosen"]),
        "other-keys" => manifest.keys = sha256(&[b"list"]),
        "plain-mode" => (manifest.mode, manifest.committee) = (Mode::Plain, CommitteeShape::default()),
        "small-cohort" => (manifest.cohort.n_min, manifest.cohort.f) = (2, 1),
        "weak-committee" => manifest.committee.c = 0,
        "wrong-quorum" => manifest.committee.q = 2,
        "long-key-life" => manifest.key_life = u32::MAX,
        _ => {}
    }
    if script == "forked-registry" {
        return forked(stage, manifest);
    }
    let mut announce = hall.announce(&manifest, stage.seen());
    if script == "unsigned-manifest" {
        let other = SigningKey::from_bytes(sha256(&[b"nobody's key"]).as_bytes());
        announce.signature = sign(&ManifestStatement(manifest.hash()), &manifest.context(), &other);
    }
    announce
}

/// A head of another registry, as large and signed, under which nothing seen before is.
fn forked(stage: &Stage, mut manifest: Manifest) -> Announce {
    let hall = &stage.hall;
    let mut other = Registry::new(*hall.registry.deployment());
    for index in 0..=hall.registry.len() as u32 {
        let key = SigningKey::from_bytes(sha256(&[b"forked", &index.to_le_bytes()]).as_bytes());
        let _ = other.append(key.public().clone());
    }
    manifest.head = other.head();
    let mut announce = hall.announce(&manifest, stage.seen());
    announce.head_signature =
        SignedHead::sign(manifest.head, hall.registry.deployment(), &hall.coordinator).signature;
    announce.seen_proof = other.consistency(stage.seen(), other.len() as u64).unwrap_or_default();
    announce
}

/// [ANN-1]: the second manifest of a round is evidence and nothing else.
async fn two_manifests(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    let (manifest, key) = begin(stage, 1, suite).await?;
    let mut second = marked(stage, manifest.clone());
    second.previous = sha256(&[b"another past"]);
    let mark = stage.mark();
    let frame = stage.hall.announcement(&second, stage.seen());
    stage.send(&frame);
    let scene = seat(stage, (manifest, key)).await?;
    // A roster of the second one as well, should the subject be there.
    if let Some(other) =
        stage.log.iter().find_map(|event| of::<RoundKey>(event, 1).filter(|key| key.mh == second.hash()))
    {
        let Stage { hall, coins, .. } = stage;
        if let Ok(scene) = Scene::new(hall, &second, &other, coins) {
            stage.give_roster(wire::encode(1, &scene.roster));
        }
    }
    let made = stage.contribution(mark, 1).await;
    let session = made.as_ref().and_then(|(frame, _)| {
        let (_, _, body) = wire::split(frame).ok()?;
        wire::decode_body::<wire::Contribution>(body).ok().map(|made| made.header.sid)
    });
    findings.note("P-21", session == Some(scene.sid), || {
        "it did not contribute to the first manifest".to_owned()
    });
    next(stage, 2, suite).await;
    let mh = second.hash();
    let other = stage.has(mark, |event| match event {
        Event::Model(hash) => *hash == second.model,
        event => of::<RoundKey>(event, 1).is_some_and(|key| key.mh == mh),
    });
    let contributed = session.is_some_and(|sid| sid != scene.sid);
    findings.note("P-20", !other && !contributed, || "it acted on the second manifest".to_owned());
    Ok(())
}

/// [ANN-1]: rounds only go up.
async fn old_round(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    begin(stage, 5, suite).await?;
    let old = marked(stage, stage.hall.manifest(4, suite));
    let mark = stage.mark();
    let frame = stage.hall.announcement(&old, stage.seen());
    stage.send(&frame);
    let settled = next(stage, 6, suite).await;
    findings.note("P-22", !acted(stage, mark, &old), || "it went back to an older round".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

/// [MASK-2]: another file under the manifest's hash.
async fn other_model(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    let mut other = stage.hall.model.clone();
    // The last coordinate, in a file that reads all the same.
    if let Some(byte) = other.last_mut() {
        *byte = 0x3f;
    }
    stage.set(|facts| facts.swapped = Some(other.into()));
    let (manifest, key) = begin(stage, 1, suite).await?;
    let asked = stage.until(0, |event| matches!(event, Event::Model(_)).then_some(())).await;
    asked.ok_or(Stop("it did not ask for the model"))?;
    let Stage { hall, coins, .. } = stage;
    let scene = Scene::new(hall, &manifest, &key, coins).map_err(|_| Stop("its round key is none"))?;
    stage.give_roster(wire::encode::<Roster>(1, &scene.roster));
    let settled = next(stage, 2, suite).await;
    let made = stage.has(0, |event| matches!(event, Event::Begun(_)));
    findings.note("P-30", !made, || "it contributed for another model".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

/// [MASK-4]: the connection ends in the place of the receipt.
async fn lost_receipt(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    stage.set(|facts| facts.receipt = Receipt::Lost);
    let begun = begin(stage, 1, suite).await?;
    seat(stage, begun).await?;
    let first = stage.contribution(0, 1).await.ok_or(Stop("it contributed nothing"))?;
    let mark = stage.mark();
    // It comes back and may send again; what it sends by then is looked at.
    trained(stage, 1).await?;
    let settled = next(stage, 2, suite).await;
    let other = stage.has(mark, |event| match event {
        Event::Contribution { round: 1, frame, vector } => (frame, vector) != (&first.0, &first.1),
        _ => false,
    });
    findings.note("P-66", !other, || "it made a second contribution in the round".to_owned());
    settled.map(drop).ok_or(Stop("it did not come back"))
}
