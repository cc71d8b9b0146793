//! Certificates that end soon, and a coordinator that issues none for three of their lives (B7): an hour is two seconds here.

use std::time::{Duration, Instant};

use quorate_crypto::sign::SigningKey;
use quorate_keys::{PartyId, RenewalRequest};
use quorate_transport::{Limits, Refusal, TransportError};

use crate::identities::{ask, enrol, session};
use crate::world::{Options, SHORT, World};

/// The life of a party's certificate.
const HOUR: Duration = Duration::from_secs(2);

/// B7: for a day of such hours six devices take part in rounds, and renew their certificates by themselves. A session outlives
/// the certificate it was opened with, no new one begins under it, and after an outage of three hours, in which every
/// certificate has ended, all go on without being started again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: a minute"]
async fn campaign_b7_certificates_of_an_hour_and_an_outage_of_three() {
    let limits = Limits { party_certificate: HOUR, ..Limits::default() };
    let pause = Duration::from_millis(1_000);
    let options = Options {
        parties: 8,
        wanted: Some(6),
        rounds: 8,
        pause,
        limits,
        deadlines: SHORT,
        ..Options::default()
    };
    let mut world = World::start(options).await;
    let begun = Instant::now();
    let running = world.crowd(6).await;
    let keys = [77, 78].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    enrol(&world, 6, &keys[0]).await;
    enrol(&world, 7, &keys[1]).await;
    world.until(|status| status.jobs.values().any(|job| job.opened >= 1)).await;

    // Two parties that do not renew: the one stays, the other comes again and again.
    let (stays, opened) = session(&world, (6, &keys[0])).await;
    let (id, key) = (PartyId::new(7, keys[1].public()), &keys[1]);
    let connector = world.connector();
    let certificate = connector.certify(id, key).await.unwrap();
    let ended = async {
        loop {
            match world.connector().connect(&certificate).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(error) => break error,
            }
        }
    };
    let refused = tokio::time::timeout(10 * HOUR, ended).await.expect("an ended certificate is let in");
    assert!(!matches!(refused, TransportError::Refused(_)), "refused in the handshake: {refused}");
    let request =
        RenewalRequest::new(&world.deployment(), (stays, &keys[0]), 2, &SigningKey::from_bytes(&[79; 32]));
    assert_eq!(ask(&opened, &request).await, Err(Refusal::NotNow), "the open session is answered");
    // Another certificate helps.
    let (_, again) = session(&world, (7, key)).await;
    drop((opened, again));

    let issued = world.node.view().counts().certified;
    world.until(|status| status.jobs.values().any(|job| job.opened >= 4)).await;
    world.crash().await;
    // Its thread may still answer for a moment.
    let dead = async {
        while connector.certify(id, key).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(HOUR, dead).await.expect("nobody issues any");
    tokio::time::sleep(3 * HOUR).await;
    world.restart().await;
    world.finished().await;
    // All six were there again, started once.
    world.become_so(|| (0..6).all(|at| world.told(at).counted.last() == Some(&8))).await;
    assert!(running.iter().all(|device| !device.is_finished()), "a device has given up");
    let counted: Vec<usize> = (0..6).map(|at| world.told(at).counted.len()).collect();
    let hours = begun.elapsed().as_secs() / HOUR.as_secs();
    println!(
        "{hours} hours, 3 without an issuer; {issued} certificates by the fourth round; rounds counted {counted:?} of 8"
    );
    assert!(counted.iter().all(|rounds| *rounds >= 7), "{counted:?}");
    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
}
