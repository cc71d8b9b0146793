//! Result, the participant's side: is my leaf in the opened set? ([RES-1]); its twin is
//! `coordinator/result.rs`.

use quorate_crypto::merkle;
use quorate_crypto::sign::PublicKey;

use super::{Participant, ParticipantEvent, Stage};
use crate::error::{Fault, FaultKind};
use crate::statement::{LeftOutStatement, Statement};
use crate::wire::{Place, ResultNotice, Unverified, set_leaf};

impl Participant {
    pub(super) fn on_result(&mut self, notice: Unverified<ResultNotice>) -> Result<(), Fault> {
        let Stage::Contributed(contributed) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        let (context, record) = (contributed.context, &contributed.record);
        let notice = notice.into_body();
        let set = notice.statement.set;
        if set.sid != record.sid {
            return Err(Fault::coordinator(FaultKind::WrongSession));
        }
        let signers = self.trust.signers(contributed.accepted.as_ref());
        // One key for the whole notice.
        let of = |key: &&&PublicKey| notice.statement.verify(&context, key, &notice.signature).is_ok();
        let signer = signers.iter().find(of).ok_or(Fault::coordinator(FaultKind::BadSignature))?;
        let event = match &notice.place {
            Place::LeftOut { signature } => {
                // The result's signature is the same for everybody: it does not say who was left out.
                LeftOutStatement { set, id: self.trust.id() }
                    .verify(&context, signer, signature)
                    .map_err(Fault::coordinator)?;
                ParticipantEvent::LeftOut { round: record.round }
            }
            Place::Counted { position, proof } => {
                let leaf = set_leaf(&record.sid, self.trust.id(), &record.hdr);
                let place = u64::from(*position);
                if !merkle::verify_inclusion(&set.root, u64::from(set.size), place, &leaf, proof) {
                    return Err(Fault::coordinator(FaultKind::BadResult));
                }
                ParticipantEvent::Counted { round: record.round }
            }
        };
        self.out.event(event);
        self.stage = Stage::Idle;
        Ok(())
    }
}
