use quorate_crypto::sign::SigningKey;
use quorate_keys::DeploymentId;
use quorate_keys::audit::{Follower, Listed, Progress, What};

use super::*;
use crate::audit::{Audit, AuditPlaces, Particulars, event, round_keys};
use crate::keeper::PlainRoom;

fn record(audit: &mut Audit, rounds: std::ops::Range<u64>) {
    for round in rounds {
        audit.note(event(1_000, What::KeyActivated, round_keys(round), "a round", Particulars::new()));
    }
    audit.settle(1_000).unwrap();
}

/// [WIT-1]: a party follows what is written, from the first entry on and over a hand-over; equal questions cost one reading
/// until the log has grown.
#[tokio::test]
async fn wit_1_parties_see_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let places = AuditPlaces { folder: at.join("audit"), keys: at.join("marks") };
    let deployment = DeploymentId::new("here", SigningKey::from_bytes(&[7; 32]).public());
    let mut audit = Audit::open(&places, &mut PlainRoom::new(&at.join("keys")), &deployment, 1_000).unwrap();
    let window = audit.window();
    let mut follower = Follower::new(audit.name().clone());
    let listed = Listed::new();
    let mut steps = Vec::new();
    for round in 0..4 {
        if round == 2 {
            audit.rotate(SigningKey::from_bytes(&[9; 32]), 1_000).unwrap();
        }
        loop {
            let (shard, held) = follower.ask(&listed, false);
            let shown = window.show(shard, held).await.unwrap();
            assert!(Arc::ptr_eq(&shown, &window.show(shard, held).await.unwrap()));
            let progress = follower.take(&Answer::parse(&shown).unwrap(), &listed).unwrap();
            steps.push(progress);
            if progress == Progress::Same {
                break;
            }
        }
        let newest = follower.newest().unwrap();
        assert_eq!((newest.0, newest.1.size), (audit.shard(), audit.entries()));
        record(&mut audit, round + 1..round + 4);
    }
    let (newer, same, ended) = (Progress::Newer, Progress::Same, Progress::Ended);
    assert_eq!(steps, [newer, same, newer, same, ended, newer, same, newer, same]);
    assert!(window.show(3, 0).await.is_none());
    assert!(window.show(u32::MAX, u64::MAX).await.is_none());
    // Nobody fills the memory by asking for everything.
    for held in 0..600 {
        assert!(window.show(1, held).await.is_some());
    }
    assert_eq!(window.answers().kept.len(), MOST);
    // A damaged file accuses nobody: nothing is shown.
    std::fs::write(at.join("audit/2/checkpoint"), b"no note").unwrap();
    record(&mut audit, 9..10);
    std::fs::remove_dir_all(at.join("audit/2/tile")).unwrap();
    assert!(window.show(2, 1).await.is_none());
}
