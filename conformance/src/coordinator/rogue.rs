//! Contributions that a coordinator refuses, and what it says to them.

use quorate_protocol::wire::{self, Contribution, HEADER};
use quorate_transport::{Exchanges, Refusal, TransportError};

use crate::report::Findings;

/// Uploads what must be refused, then the good one, then what must be refused after it. Nothing here waits: the
/// coordinator decides on each by what it has.
pub(super) async fn play(
    exchanges: &Exchanges,
    (round, frame, vector): (u64, &[u8], &[u8]),
    twin: Option<(Vec<u8>, Vec<u8>)>,
    findings: &mut Findings,
) {
    let unsigned = spoilt(frame, |made| made.signature = made_by_nobody(made));
    let mut other = vector.to_vec();
    other.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    let short = vector.get(1..).unwrap_or_default();
    let loose = loose(frame);
    let upload = async |round: u64, frame: &[u8], vector: &[u8]| exchanges.upload(round, frame, vector).await;
    let refused = |outcome: &Result<_, TransportError>, codes: &[Refusal]| match outcome {
        Err(TransportError::Refused(code)) => codes.contains(code),
        _ => false,
    };
    let invalid = &[Refusal::Invalid][..];
    let outcome = upload(round, frame, short).await;
    findings.note("C-13", refused(&outcome, &[Refusal::Length, Refusal::Invalid]), || said(&outcome));
    let outcome = upload(round + 1, frame, vector).await;
    findings.note("C-15", refused(&outcome, &[Refusal::NotNow, Refusal::Invalid]), || said(&outcome));
    if let Some(unsigned) = unsigned {
        let outcome = upload(round, &unsigned, vector).await;
        findings.note("C-12", refused(&outcome, invalid), || said(&outcome));
    }
    let outcome = upload(round, frame, &other).await;
    findings.note("C-14", refused(&outcome, invalid), || said(&outcome));
    let outcome = upload(round, &loose, vector).await;
    findings.note("C-16", refused(&outcome, invalid), || said(&outcome));

    let outcome = upload(round, frame, vector).await;
    let first = outcome.is_ok();
    let again = upload(round, frame, vector).await;
    if let Some((frame, vector)) = twin {
        let outcome = upload(round, &frame, &vector).await;
        let fine = refused(&outcome, &[Refusal::Invalid, Refusal::NotNow]);
        findings.note("C-11", fine, || said(&outcome));
    }
    // Once more, with another upload in between: what an endpoint remembers of the last one does not help then.
    let later = upload(round, frame, vector).await;
    // The round may be over by then.
    let later_fine = later.is_ok() || refused(&later, &[Refusal::NotNow]);
    let all = first && again.is_ok() && later_fine;
    findings.note("C-10", all, || {
        format!("first {}, then {}, later {}", said(&outcome), said(&again), said(&later))
    });
}

fn said<T>(outcome: &Result<T, TransportError>) -> String {
    outcome.as_ref().err().map_or_else(|| "it gave a receipt".to_owned(), ToString::to_string)
}

/// The frame of the same contribution with something changed.
fn spoilt(frame: &[u8], change: impl FnOnce(&mut Contribution)) -> Option<Vec<u8>> {
    let (_, round, body) = wire::split(frame).ok()?;
    let mut made: Contribution = wire::decode_body(body).ok()?;
    change(&mut made);
    Some(wire::encode(round, &made))
}

/// A signature over nothing that counts.
fn made_by_nobody(made: &Contribution) -> quorate_crypto::sign::Signature {
    quorate_crypto::sign::SigningKey::from_bytes(made.header.vector.as_bytes()).sign(&made.header.sid)
}

/// A byte after the end of the body.
fn loose(frame: &[u8]) -> Vec<u8> {
    debug_assert!(frame.len() > HEADER);
    [frame, &[0]].concat()
}
