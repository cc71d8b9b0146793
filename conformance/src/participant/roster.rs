//! Rosters that no party may contribute to.

use quorate_crypto::ring::Suite;
use quorate_crypto::seal::RoundSecret;
use quorate_protocol::manifest::Manifest;
use quorate_protocol::wire::{self, Roster, RoundKey};

use super::{Played, Stop, begin, next, seat, trained};
use crate::report::Findings;
use crate::stage::{Event, PUPPETS, Scene, Stage, of, round_key};

pub(super) async fn play(stage: &mut Stage, script: &str, suite: Suite, findings: &mut Findings) -> Played {
    if script == "two-rosters" {
        return two(stage, suite, findings).await;
    }
    let id = match script {
        "short-roster" => "P-41",
        "twin-keys" => "P-42",
        "uneligible-member" => "P-43",
        "unsigned-roster" => "P-44",
        "swapped-key" => "P-45",
        "shuffled-roster" => "P-46",
        "loose-encoding" => "P-67",
        _ => return Err(Stop("the kit has no such script")),
    };
    let (manifest, key) = begin(stage, 1, suite).await?;
    trained(stage, 1).await?;
    let frame = wrong(stage, script, &manifest, &key)?;
    let mark = stage.mark();
    stage.give_roster(frame);
    let settled = next(stage, 2, suite).await;
    let made = stage.has(mark, |event| matches!(event, Event::Begun(1)));
    findings.note(id, !made, || "it contributed to that roster".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}

fn wrong(stage: &mut Stage, script: &str, manifest: &Manifest, key: &RoundKey) -> Result<Vec<u8>, Stop> {
    let Stage { hall, coins, .. } = stage;
    let scene = Scene::new(hall, manifest, key, coins).map_err(|_| Stop("its round key is none"))?;
    let mut roster = scene.roster.clone();
    match script {
        "short-roster" => drop(roster.members.pop()),
        "shuffled-roster" => roster.members.reverse(),
        "twin-keys" => {
            // Two puppets with one key, both signed for.
            let (_, public) = RoundSecret::generate(manifest.seal, coins);
            for entry in roster.members.iter_mut().filter(|entry| entry.index < 2) {
                let twin = round_key(hall, manifest, entry.index, &public);
                (entry.key, entry.signature) = (twin.key, twin.signature);
            }
        }
        "uneligible-member" => {
            // A party of the cohort that is not named, in the place of one that is.
            let (_, public) = RoundSecret::generate(manifest.seal, coins);
            let stranger = round_key(hall, manifest, PUPPETS - 1, &public);
            let kept = scene.roster.members.iter().filter(|entry| entry.index != 0);
            let mut keys: Vec<RoundKey> = kept.map(|entry| key_of(manifest, entry)).collect();
            keys.push(stranger);
            let draw = hall.epoch.draw(manifest.round);
            keys.sort_by_key(|key| draw.ticket(quorate_protocol::draw::Role::Committee, &key.id));
            roster = Scene::roster_of(hall, manifest, &keys);
        }
        "swapped-key" => {
            let (_, public) = RoundSecret::generate(manifest.seal, coins);
            for entry in roster.members.iter_mut().filter(|entry| entry.index == 0) {
                entry.key = public.as_bytes().to_vec();
            }
        }
        "unsigned-roster" => {
            roster.signature = key.signature;
            return Ok(wire::encode(manifest.round, &roster));
        }
        _ => {}
    }
    let frame = wire::encode(manifest.round, &Scene::sign_roster(hall, manifest, roster));
    Ok(if script == "loose-encoding" { loose(frame) } else { frame })
}

/// The number of members as two bytes instead of one.
fn loose(frame: Vec<u8>) -> Vec<u8> {
    let (header, body) = frame.split_at(wire::HEADER);
    let mut loose = header.to_vec();
    if let Some((count, rest)) = body.split_first() {
        loose.extend([count | 0x80, 0]);
        loose.extend(rest);
    }
    loose
}

fn key_of(manifest: &Manifest, entry: &wire::RosterEntry) -> RoundKey {
    RoundKey {
        mh: manifest.hash(),
        id: quorate_keys::PartyId::new(entry.index, &entry.identity),
        key: entry.key.clone(),
        signature: entry.signature,
    }
}

/// [ROST-1]: a second roster of the round, as good as the first.
async fn two(stage: &mut Stage, suite: Suite, findings: &mut Findings) -> Played {
    let (manifest, key) = begin(stage, 1, suite).await?;
    let first = seat(stage, (manifest.clone(), key.clone())).await?;
    stage.contribution(0, 1).await.ok_or(Stop("it contributed nothing"))?;
    let Stage { hall, coins, .. } = stage;
    let second = Scene::new(hall, &manifest, &key, coins).map_err(|_| Stop("its round key is none"))?;
    let mark = stage.mark();
    stage.give_roster(wire::encode::<Roster>(1, &second.roster));
    // As a member it would open the second session's shares.
    let Stage { hall, coins, .. } = stage;
    let held =
        second.contribute(hall, 0, coins).map_err(|_| Stop("the kit's own contribution does not work"))?;
    let frame = wire::encode(1, &second.relay(&stage.hall, &[held.contribution]));
    stage.send(&frame);
    let settled = next(stage, 2, suite).await;
    let sid = second.sid;
    let served =
        stage.has(mark, |event| of::<wire::CheckBatch>(event, 1).is_some_and(|batch| batch.sid == sid));
    let made = stage.has(mark, |event| matches!(event, Event::Begun(1)));
    debug_assert_ne!(first.sid, sid);
    findings.note("P-40", !made && !served, || "it took part in a second session of the round".to_owned());
    settled.map(drop).ok_or(Stop("nothing came for the honest manifest after it"))
}
