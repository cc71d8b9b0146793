//! Relays that a member may not open, or must complain about.

use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::ring::Suite;
use quorate_protocol::wire::{self, CheckBatch, CheckValue, Complaint, Relay};

use super::honest::{checked, contributed, puppets};
use super::{Played, Stop, begin, seat};
use crate::report::Findings;
use crate::stage::{Held, Scene, Stage, of, sign};

/// The puppet whose item is wrong, and the one whose item is right.
const WRONG: usize = 0;
const RIGHT: usize = 1;

pub(super) async fn play(stage: &mut Stage, script: &str, suite: Suite, findings: &mut Findings) -> Played {
    let begun = begin(stage, 1, suite).await?;
    let scene = seat(stage, begun).await?;
    // Its own honest contribution is judged elsewhere.
    contributed(stage, &scene, &mut Findings::default()).await?;
    let held = puppets(stage, &scene)?;
    match script {
        "two-headers" => two_headers(stage, &scene, held, findings).await,
        "sealed-garbage" => garbage(stage, &scene, held, findings).await,
        script => unopened(stage, script, (&scene, held), findings).await,
    }
}

/// [SHARE-2]: what does not verify is opened by nobody.
async fn unopened(
    stage: &mut Stage,
    script: &str,
    (scene, held): (&Scene, Vec<Held>),
    findings: &mut Findings,
) -> Played {
    let hall = &stage.hall;
    let mut relay = scene.relay(hall, &[held[WRONG].contribution.clone(), held[RIGHT].contribution.clone()]);
    let item = relay.items.get_mut(WRONG).ok_or(Stop("the kit's own relay does not work"))?;
    let id = match script {
        "other-path" => {
            // The share of another contribution, sealed to the same member, under this header.
            let other =
                scene.item(hall, &held[2].contribution).ok_or(Stop("the kit's own relay does not work"))?;
            (item.sealed, item.path) = (other.sealed, other.path);
            "P-60"
        }
        "unsigned-header" => {
            item.signature = sign(&item.header, &scene.context, &hall.puppets[3]);
            "P-61"
        }
        _ => {
            item.header.sid = sha256(&[b"another session"]);
            item.signature = sign(&item.header, &scene.context, &hall.puppets[WRONG]);
            "P-62"
        }
    };
    let mark = stage.mark();
    stage.send(&wire::encode(1, &relay));
    let sender = held[RIGHT].contribution.header.sender.index;
    // The right one in the same relay has been dealt with: the wrong one, before it, as well.
    let settled = checked(stage, scene, mark, &[sender]).await;
    let wrong = held[WRONG].contribution.header.sender.index;
    findings
        .note(id, !told(stage, mark, wrong, |_| true), || "it published check values about it".to_owned());
    settled.map(drop)
}

/// Whether a check entry about a sender came whose header is such a one.
fn told(stage: &Stage, mark: usize, sender: u32, such: impl Fn(&Digest) -> bool) -> bool {
    stage.has(mark, |event| {
        let batch = of::<CheckBatch>(event, 1);
        batch
            .is_some_and(|batch| batch.entries.iter().any(|entry| entry.sender == sender && such(&entry.hdr)))
    })
}

/// [ROST-1]: one hdr per (sid, sender).
async fn two_headers(stage: &mut Stage, scene: &Scene, held: Vec<Held>, findings: &mut Findings) -> Played {
    let mark = stage.mark();
    let first = &held[WRONG].contribution;
    let frame = wire::encode(1, &scene.relay(&stage.hall, std::slice::from_ref(first)));
    stage.send(&frame);
    let sender = first.header.sender.index;
    checked(stage, scene, mark, &[sender]).await?;
    let Stage { hall, coins, .. } = stage;
    let second =
        scene.contribute(hall, sender, coins).map_err(|_| Stop("the kit's contribution does not work"))?;
    let both = [second.contribution.clone(), held[RIGHT].contribution.clone()];
    let frame = wire::encode::<Relay>(1, &scene.relay(&stage.hall, &both));
    stage.send(&frame);
    let right = held[RIGHT].contribution.header.sender.index;
    let settled = checked(stage, scene, mark, &[right]).await;
    let hdr = second.contribution.header.hdr();
    let took = told(stage, mark, sender, |of| *of == hdr);
    findings.note("P-63", !took, || "it opened a second contribution of one sender".to_owned());
    settled.map(drop)
}

/// [CHK-2]: header and path are right, what is sealed is not.
async fn garbage(stage: &mut Stage, scene: &Scene, held: Vec<Held>, findings: &mut Findings) -> Played {
    let mut shares = held[WRONG].contribution.shares.clone();
    let own = usize::from(scene.place) - 1;
    if let Some(byte) = shares.get_mut(own).and_then(|sealed| sealed.ct.first_mut()) {
        *byte ^= 1;
    }
    let header = held[WRONG].contribution.header;
    let made = scene.sign(&stage.hall, header.sender.index, header.vector, shares);
    let mark = stage.mark();
    let frame = wire::encode(1, &scene.relay(&stage.hall, std::slice::from_ref(&made)));
    stage.send(&frame);
    let sender = header.sender.index;
    let (checks, _) = checked(stage, scene, mark, &[sender]).await?;
    let value = checks.0.get(&sender).map(|entry| &entry.value);
    let complained = value == Some(&CheckValue::Complaint(Complaint::Sealed));
    findings.note("P-64", complained, || "it published something else than that complaint".to_owned());
    Ok(())
}
