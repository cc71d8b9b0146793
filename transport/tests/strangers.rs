//! Who gets in, and who never has a byte read (RT-42, RT-44, RT-36).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use quorate_keys::{DeploymentId, EnrolmentToken};
use quorate_transport::{Authority, Closed, Connector, Incoming, Limits, Refusal, TransportError};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;
use support::{Chain, World, closed, credentials, dial, key, limits, party, poll, stream, until};

const HOUR: Duration = Duration::from_secs(3_600);

fn bound() -> CertificateParams {
    let mut params = CertificateParams::default();
    let binding = quorate_transport::Binding::Party {
        deployment: *DeploymentId::new("test", key(0).public()),
        id: party(0),
    };
    params.subject_alt_names = vec![SanType::URI(binding.to_uri().try_into().unwrap())];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn self_signed() -> Chain {
    let tls = KeyPair::generate().unwrap();
    let certificate = bound().self_signed(&tls).unwrap();
    (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(tls.serialize_der()).into())
}

/// Of the right authority, its life over for so long.
fn ended(world: &World, ago: Duration) -> Chain {
    let (tls, authority) = (KeyPair::generate().unwrap(), KeyPair::try_from(world.key.as_slice()).unwrap());
    let issuer = Issuer::from_ca_cert_der(&world.certificate.clone().into(), authority).unwrap();
    let mut params = bound();
    params.not_after = (SystemTime::now() - ago).into();
    let certificate = params.signed_by(&tls, &issuer).unwrap();
    (vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(tls.serialize_der()).into())
}

/// Sends a control stream and a poll, and waits for the end of the connection.
async fn knock(world: &World, credentials: Option<Chain>) -> Option<Closed> {
    let Ok(connection) = dial(world.address, b"quorate/1", credentials).await else { return None };
    if let Ok((mut send, _recv)) = connection.open_bi().await {
        let _ = send.write_all(&[&[1][..], &poll()].concat()).await;
    }
    closed(&connection).await
}

/// RT-42: the handler hears of no stranger, whatever it brings.
#[tokio::test]
async fn no_byte_of_a_stranger_is_read() {
    let world = World::new(limits());
    world.server.revoke(BTreeSet::from([2]));
    let here = world.authority("test");
    let deployment = DeploymentId::new("test", key(0).public());
    let other = Authority::generate(deployment, key(0).public()).unwrap();
    assert_eq!(knock(&world, None).await, Some(Closed::Unauthenticated));
    for stranger in [
        self_signed(),
        credentials(&other, 0, HOUR),
        ended(&world, Duration::from_secs(2)),
        credentials(&here, 2, HOUR),
        credentials(&world.authority("elsewhere"), 0, HOUR),
    ] {
        assert_eq!(knock(&world, Some(stranger)).await, None, "ended by the handshake itself");
    }
    assert_eq!(world.recorder().calls(), 0);
    // The same knock with the right certificate is heard: the test can fail.
    let connection = world.rogue(0).await;
    let _streams = stream(&connection, &[&[1][..], &poll()].concat()).await;
    until(|| world.recorder().frames.lock().unwrap().len() == 1).await;
}

/// RT-42: a connection that lives ends with the right to it, and no certificate is given out any more.
#[tokio::test]
async fn revocation_closes_what_lives() {
    let world = World::new(limits());
    let connector = world.connector();
    let certificate = connector.certify(party(1), &key(2)).await.unwrap();
    let mut session = connector.connect(&certificate).await.unwrap();
    until(|| world.server.counts().members == 1).await;
    world.server.revoke(BTreeSet::from([1]));
    assert!(matches!(session.next().await, Err(TransportError::Lost(Some(Closed::Revoked)))));
    let again = connector.certify(party(1), &key(2)).await;
    assert!(matches!(again, Err(TransportError::Refused(Refusal::Unknown))));
    until(|| world.server.counts().members == 0).await;
}

/// RT-42: there are no tickets, so there is no early data to replay.
#[tokio::test]
async fn early_data_is_off() {
    let world = World::new(limits());
    let config = support::config(b"quorate/1", Some(credentials(&world.authority("test"), 0, HOUR)));
    let endpoint = quinn::Endpoint::client(support::LOOPBACK).unwrap();
    for _ in 0..2 {
        let connecting = endpoint.connect_with(config.clone(), world.address, "x").unwrap();
        let connection = match connecting.into_0rtt() {
            Ok(_) => unreachable!("early data"),
            Err(connecting) => connecting.await.unwrap(),
        };
        let _streams = stream(&connection, &[1]).await;
        until(|| world.server.counts().members == 1).await;
        connection.close(0_u32.into(), b"");
        until(|| world.server.counts().members == 0).await;
    }
}

/// [REG-2]: a token, once; then certificate and session; frames arrive in order ([WIRE-4]).
#[tokio::test]
async fn from_token_to_frames() {
    let world = World::new(limits());
    let token = || EnrolmentToken::from_bytes([9; 32]);
    world.recorder().registry.lock().unwrap().1.admit(token().hash());
    let connector = world.connector();
    let enrolled = connector.enrol(&key(77), token()).await.unwrap();
    assert_eq!(enrolled.id.index, 3);
    let again = connector.enrol(&key(78), token()).await;
    assert!(matches!(again, Err(TransportError::Refused(Refusal::Token))));

    let certificate = connector.certify(enrolled.id, &key(77)).await.unwrap();
    let mut session = connector.connect(&certificate).await.unwrap();
    for _ in 0..20 {
        session.send(&poll()[4..]).await.unwrap();
    }
    until(|| world.recorder().frames.lock().unwrap().len() == 20).await;
    let sender = world.recorder().senders.lock().unwrap()[&3].clone();
    let frame = |round: u64| [&[1, 15][..], &round.to_le_bytes()].concat();
    for round in 0..20 {
        sender.send(frame(round).into()).unwrap();
    }
    sender.nudge().unwrap();
    for round in 0..20 {
        assert_eq!(session.next().await.unwrap(), Incoming::Frame(frame(round)));
    }
    assert_eq!(session.next().await.unwrap(), Incoming::Nudge);
}

/// RT-44: who does not hold the key gets no certificate; the connection ends with the answer.
#[tokio::test]
async fn only_the_holder_of_the_key_gets_a_certificate() {
    let world = World::new(limits());
    for (id, holder) in [(party(0), key(2)), (party(9), key(10))] {
        let refused = world.connector().certify(id, &holder).await;
        assert!(matches!(refused, Err(TransportError::Refused(Refusal::Unknown))));
    }
    // After a refusal, and after nonsense, nothing more is read.
    let connection = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    let _streams = stream(&connection, &[255; 8]).await;
    assert_eq!(closed(&connection).await, Some(Closed::Protocol));
    let silent = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    assert_eq!(closed(&silent).await, Some(Closed::Slow));
}

/// A participant takes the pinned coordinator and no other.
#[tokio::test]
async fn another_coordinator_is_not_talked_to() {
    let (world, other) = (World::new(limits()), World::new(limits()));
    let connector = Connector::new(other.address, world.pin, limits()).unwrap();
    assert!(matches!(connector.certify(party(0), &key(1)).await, Err(TransportError::Unreachable)));
    assert_eq!(other.recorder().calls(), 0);
}

/// RT-36, small: addresses prove themselves under load; places for members and strangers are counted apart.
#[tokio::test]
async fn handshakes_and_connections_are_limited() {
    let limits = Limits { connections: 1, strangers: 1, retry_above: 0, ..limits() };
    let world = World::new(limits);
    let silent = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    until(|| world.server.counts().strangers == 1).await;
    let refused = dial(world.address, b"quorate-enrol/1", None).await.unwrap();
    assert_eq!(closed(&refused).await, Some(Closed::Full));
    // A stranger that holds the only place keeps no member out.
    let first = world.rogue(0).await;
    let _streams = stream(&first, &[1]).await;
    until(|| world.server.counts().members == 1).await;
    let second = world.rogue(1).await;
    assert_eq!(closed(&second).await, Some(Closed::Full));
    assert_eq!(world.server.counts().retried, 4);
    assert_eq!(closed(&silent).await, Some(Closed::Slow));
}

/// The coordinator's certificate is exchanged while a connection lives; so is a party's.
#[tokio::test]
async fn certificates_are_renewed_under_way() {
    let world = World::new(limits());
    let shown = |connection: &quinn::Connection| {
        let chain = connection.peer_identity().unwrap();
        chain.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().unwrap()[0].to_vec()
    };
    let old = world.rogue(0).await;
    let (mut send, _recv) = stream(&old, &[1]).await;
    world.server.renew_certificate().unwrap();
    let new = world.rogue(1).await;
    assert_ne!(shown(&old), shown(&new));
    send.write_all(&poll()).await.unwrap();
    until(|| world.recorder().frames.lock().unwrap().len() == 1).await;

    let connector = world.connector();
    let certificate = connector.certify(party(2), &key(3)).await.unwrap();
    let mut session = connector.connect(&certificate).await.unwrap();
    let renewed = session.renew(party(2), &key(3)).await.unwrap();
    session.send(&poll()[4..]).await.unwrap();
    until(|| world.recorder().frames.lock().unwrap().len() == 2).await;
    let mut next = connector.connect(&renewed).await.unwrap();
    next.send(&poll()[4..]).await.unwrap();
    until(|| world.recorder().frames.lock().unwrap().len() == 3).await;
    assert!(matches!(session.next().await, Err(TransportError::Lost(Some(Closed::Replaced)))));
}
