//! Announce and Convene, the member's side: a round key for this round only ([CONV-1], [OPEN-3],
//! [ROST-1]); its twin is `coordinator/convene.rs`.

use quorate_crypto::hash::sha256;
use quorate_crypto::seal::RoundSecret;
use rand_core::CryptoRng;

use super::{Keyed, Member, MemberEvent, Serving, Stage};
use crate::draw::Role;
use crate::error::{Fault, FaultKind};
use crate::id::Time;
use crate::manifest::Mode;
use crate::record::RoundKeyRecord;
use crate::statement::{RoundKeyStatement, Statement};
use crate::wire::{self, Announce, Roster, RoundKey, Unverified};

impl Member {
    /// Accepts a manifest and, if drawn, sends a fresh round key: the record first. A key of an earlier
    /// round is wiped by any manifest accepted with a higher one.
    pub(super) fn on_announce<R: CryptoRng + ?Sized>(
        &mut self,
        now: Time,
        announce: Unverified<Announce>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let accepted = self.trust.accept(Role::Committee, announce).inspect_err(|fault| {
            if fault.kind == FaultKind::SecondManifest
                && let Some(evidence) = self.trust.take_equivocation()
            {
                self.out.event(MemberEvent::Equivocation(evidence));
            }
        })?;
        let earlier = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => None,
            Stage::Keyed(keyed) => Some(keyed.accepted.manifest.round),
            Stage::Serving(serving) => Some(serving.accepted.manifest.round),
        };
        if let Some(round) = earlier {
            self.out.event(MemberEvent::Wiped { round });
        }
        self.leave_epoch(&accepted);
        if accepted.manifest.mode == Mode::Homomorphic {
            return self.serve_collective(&accepted);
        }
        if !accepted.eligible {
            return Ok(());
        }
        let (secret, public) = RoundSecret::generate(accepted.manifest.seal, rng);
        let (round, mh, key) = (accepted.manifest.round, accepted.mh, public.as_bytes().to_vec());
        let permit = self.out.persist(RoundKeyRecord { round, mh, key: sha256(&[&key]) });
        let id = *self.trust.id();
        let statement = RoundKeyStatement { mh: &mh, id: &id, key: &key };
        let signature = statement.sign(&accepted.context(), self.trust.identity(), permit);
        self.out.send(wire::encode(round, &RoundKey { mh, id, key: key.clone(), signature }));
        let expires = now.plus(u64::from(accepted.manifest.key_life));
        self.out.wake_at(expires);
        self.stage = Stage::Keyed(Box::new(Keyed { accepted, secret, key, expires }));
        Ok(())
    }

    /// Accepts the one roster of the round. A roster without this member wipes its key.
    pub(super) fn on_roster<R: CryptoRng + ?Sized>(
        &mut self,
        roster: Unverified<Roster>,
        rng: &mut R,
    ) -> Result<(), Fault> {
        let Stage::Keyed(keyed) = &self.stage else {
            return match &self.stage {
                Stage::Serving(serving) if roster.repeats(&serving.accepted.mh, serving.roster.sid()) => {
                    Ok(())
                }
                Stage::Serving(_) => Err(Fault::coordinator(FaultKind::SecondRoster)),
                _ => Err(Fault::coordinator(FaultKind::OutOfTurn)),
            };
        };
        let roster = roster.verify(&keyed.accepted, &keyed.accepted.signer, rng)?;
        let round = keyed.accepted.manifest.round;
        let Some(index) = roster.index_of(self.trust.id()) else {
            self.stage = Stage::Idle;
            self.out.event(MemberEvent::Wiped { round });
            return Ok(());
        };
        // Somebody else's key under this name: this member could open nothing and must not try.
        if roster.member(index).is_none_or(|own| own.key.as_bytes() != keyed.key) {
            return Err(Fault::coordinator(FaultKind::BadRoster));
        }
        let Stage::Keyed(keyed) = std::mem::replace(&mut self.stage, Stage::Idle) else { return Ok(()) };
        let Keyed { accepted, secret, expires, .. } = *keyed;
        let held = std::collections::BTreeMap::new();
        let serving = Serving { accepted, secret, expires, roster, index, held, lock: None };
        self.stage = Stage::Serving(Box::new(serving));
        self.out.event(MemberEvent::Serving { round, index });
        Ok(())
    }
}
