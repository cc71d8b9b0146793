//! Connections without a certificate: one bounded request, one answer, closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quorate_keys::EnrolmentRequest;
use tokio::time::timeout;

use crate::enrol::{self, Answer, CertificateRequest, REQUEST, Request};
use crate::error::{Closed, Refusal};
use crate::handler::Handler;
use crate::pace::Broken;
use crate::server::Shared;

/// Serves the one request and closes the connection, in any case.
pub(crate) async fn serve<H: Handler>(shared: &Arc<Shared<H>>, connection: &quinn::Connection) {
    // Request, answer and the party's farewell each have their time.
    let outcome = timeout(shared.limits.request * 3, answer(shared, connection)).await;
    match outcome.unwrap_or(Err(Broken::Slow)) {
        Ok(()) => Closed::Done.close(connection),
        Err(Broken::Slow) => Closed::Slow.close(connection),
        Err(_) => Closed::Protocol.close(connection),
    }
}

async fn answer<H: Handler>(shared: &Arc<Shared<H>>, connection: &quinn::Connection) -> Result<(), Broken> {
    let limits = &shared.limits;
    let accepted = timeout(limits.request, connection.accept_bi()).await.map_err(|_| Broken::Slow)?;
    let (mut send, mut recv) = accepted.map_err(|_| Broken::Lost)?;
    let answer = match enrol::read(&mut recv, REQUEST, limits).await? {
        Request::Enrol { key, token, proof } => {
            let request = EnrolmentRequest { key: *key, token: token.token(), proof };
            drop(token);
            match shared.handler.enrol(request).await {
                Ok(welcome) => Answer::Welcome(Box::new(welcome)),
                Err(refusal) => Answer::refused(refusal),
            }
        }
        Request::Certificate(request) => certify(shared, connection, &request).await,
    };
    enrol::send(&mut send, &answer, limits).await?;
    // The party closes once it has the answer.
    let _ = timeout(limits.request, connection.closed()).await;
    Ok(())
}

/// A certificate for who holds the registered key and may have one.
pub(crate) async fn certify<H: Handler>(
    shared: &Arc<Shared<H>>,
    connection: &quinn::Connection,
    request: &CertificateRequest,
) -> Answer {
    let Some(key) = shared.handler.key(request.index).await else {
        return Answer::refused(Refusal::Unknown);
    };
    let authority = &shared.authority;
    // Who is revoked and who does not hold the key get the same answer as who was never there.
    if shared.is_revoked(request.index) || !request.is_from(connection, authority.deployment(), &key) {
        return Answer::refused(Refusal::Unknown);
    }
    let (id, life) = (quorate_keys::PartyId::new(request.index, &key), shared.limits.party_certificate);
    match authority.certify(id, &request.key, life) {
        Ok(certificate) => {
            shared.certified.fetch_add(1, Ordering::Relaxed);
            Answer::Certificate { certificate, seconds: u32::try_from(life.as_secs()).unwrap_or(u32::MAX) }
        }
        Err(_) => Answer::refused(Refusal::Invalid),
    }
}
