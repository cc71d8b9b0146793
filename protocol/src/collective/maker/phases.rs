//! What holders send, phase by phase. Everything is checked before anything changes; an identical repetition changes
//! nothing.

use quorate_crypto::collective::{DealContext, DealKind, ELEMENT_BYTES, part_commitment};
use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;

use super::{KeyMaker, Stage};
use crate::collective::holder::trial_context;
use crate::collective::holder::verify_join;
use crate::error::FaultKind;
use crate::wire::{
    Disclose, JoinEntry, KeyJoin, KeySign, PartCheck, PartChecks, PartCommit, PartReveal, Sealed, TryAnswer,
};

/// Bytes of an encapsulated X25519 key, and by how many a sealed text is longer than the text.
const ENC: usize = 32;
const TAG: usize = 16;

impl KeyMaker {
    /// Whether a message has been taken already: the same one changes nothing, another one is the sender's fault.
    fn known<T: PartialEq>(known: Option<&T>, message: &T) -> Result<bool, FaultKind> {
        match known {
            Some(known) if known == message => Ok(true),
            Some(_) => Err(FaultKind::SecondPart),
            None => Ok(false),
        }
    }

    pub(super) fn on_join(&mut self, place: u16, join: KeyJoin) -> Result<(), FaultKind> {
        let holder = self.holders.get(&place).ok_or(FaultKind::NotNamed)?;
        if self.record.id(place) != Some(join.id) || join.record != self.hash {
            return Err(FaultKind::WrongSession);
        }
        let entry = JoinEntry { join, identity: holder.key.clone(), proof: holder.proof.clone() };
        verify_join(&self.record, &self.hash, &entry)?;
        let Stage::Joining(joins) = &mut self.stage else { return Ok(()) };
        if Self::known(joins.get(&place), &entry.join)?
            || joins.values().any(|other| other.key == entry.join.key)
        {
            return Ok(());
        }
        joins.insert(place, entry.join);
        Ok(())
    }

    pub(super) fn on_commit(&mut self, place: u16, commit: PartCommit) -> Result<(), FaultKind> {
        if self.record.id(place) != Some(commit.id) || commit.session != self.past.session {
            return Err(FaultKind::WrongSession);
        }
        let message = self.signed().commit(&commit.session, &commit.id, &commit.commitment);
        self.by(place, &message, &commit.signature)?;
        match &mut self.stage {
            Stage::Committing(commits) => {
                if !Self::known(commits.get(&place), &commit)? {
                    commits.insert(place, commit);
                }
                Ok(())
            }
            // Two signed commitments, whenever the second one comes.
            _ if self.past.commits.iter().any(|known| known.id == commit.id && *known != commit) => {
                Err(FaultKind::SecondPart)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn on_reveal(&mut self, place: u16, reveal: PartReveal) -> Result<(), FaultKind> {
        if self.record.id(place) != Some(reveal.id) || reveal.session != self.past.session {
            return Err(FaultKind::WrongSession);
        }
        let Stage::Revealing(reveals) = &self.stage else { return Err(FaultKind::OutOfTurn) };
        if reveals.contains_key(&place) {
            return Ok(());
        }
        let commit = self.past.commits.iter().find(|commit| commit.id == reveal.id);
        let commitment = commit.ok_or(FaultKind::BadHolders)?.commitment;
        let message = self.signed().reveal(&reveal.session, &self.past.commits_hash, &reveal.id, &commitment);
        self.by(place, &message, &reveal.opening.signature)?;
        let (active, opening) = (self.record.active(), &reveal.opening);
        let leaves: Vec<Digest> =
            active.iter().zip(&reveal.sealed).map(|(place, sealed)| sealed.leaf(*place)).collect();
        // Lengths first: a part that is too long would reach nobody, and those who wait for it be called silent.
        let kind = self.record.kind_of(place);
        let public = if kind == DealKind::Key { ELEMENT_BYTES } else { 0 };
        let fits = |(to, sealed): (&u16, &Sealed)| {
            sealed.enc.len() == ENC && sealed.ct.len() == self.committee.plaintext_bytes(kind, *to) + TAG
        };
        let complete = reveal.sealed.len() == active.len()
            && opening.public.len() == public
            && active.iter().zip(&reveal.sealed).all(fits)
            && merkle::root(&leaves) == opening.shares;
        let ctx = DealContext { session: reveal.session, dealer: reveal.id.to_bytes() };
        let opened = part_commitment(&ctx, &opening.nonce, &opening.public, &opening.shares);
        if !complete || opened != commitment {
            return Err(FaultKind::BadPart);
        }
        self.past.leaves.insert(place, leaves);
        if let Stage::Revealing(reveals) = &mut self.stage {
            reveals.insert(place, reveal);
        }
        Ok(())
    }

    pub(super) fn on_checks(&mut self, place: u16, checks: PartChecks) -> Result<(), FaultKind> {
        if self.record.id(place) != Some(checks.id) || checks.session != self.past.session {
            return Err(FaultKind::WrongSession);
        }
        let message = self.signed().checks(&checks.session, &checks.id, &checks.checks);
        self.by(place, &message, &checks.signature)?;
        let seats = self.record.seats();
        let formed = |(dealer, check): (&u16, &PartCheck)| match check {
            PartCheck::Values(values) => {
                self.committee.are_check_values(self.record.kind_of(*dealer), values)
            }
            PartCheck::Complaint(_) => true,
        };
        if checks.checks.len() != self.holders.len() || !seats.iter().zip(&checks.checks).all(formed) {
            return Err(FaultKind::BadChecks);
        }
        let Stage::Checking(known) = &mut self.stage else { return Ok(()) };
        if !Self::known(known.get(&place), &checks)? {
            known.insert(place, checks);
        }
        Ok(())
    }

    pub(super) fn on_answer(&mut self, place: u16, answer: TryAnswer) -> Result<(), FaultKind> {
        let id = self.record.id(place).ok_or(FaultKind::NotNamed)?;
        if answer.holder != place || answer.session != self.past.session {
            return Err(FaultKind::WrongSession);
        }
        let message = self.signed().answer(&answer.session, &id, &answer.opening, &answer.answer);
        self.by(place, &message, &answer.signature)?;
        let trials = self.record.trials();
        let Some(key) = self.past.key.clone() else { return Err(FaultKind::OutOfTurn) };
        let (record, session) = (&self.record, self.past.session);
        let of = |responders: &Vec<u16>| {
            responders.contains(&place)
                && trial_context(record, &session, key.id(), responders).digest() == answer.opening
        };
        let at = trials.iter().position(of).ok_or(FaultKind::WrongOpening)?;
        let Stage::Trying(answers) = &mut self.stage else { return Ok(()) };
        let answers = answers.get_mut(at).ok_or(FaultKind::WrongOpening)?;
        if !Self::known(answers.get(&place), &answer)? {
            answers.insert(place, answer);
        }
        Ok(())
    }

    pub(super) fn on_sign(&mut self, place: u16, sign: &KeySign) -> Result<(), FaultKind> {
        let key = &self.holders.get(&place).ok_or(FaultKind::NotNamed)?.key;
        let Stage::Signing { record, signatures } = &mut self.stage else { return Ok(()) };
        if sign.record != record.hash() || self.record.id(place) != Some(sign.id) {
            return Err(FaultKind::BadKeyRecord);
        }
        key.verify(&record.signed_digest(), &sign.signature).map_err(|_| FaultKind::BadSignature)?;
        signatures.entry(place).or_insert(sign.signature);
        Ok(())
    }

    pub(super) fn on_disclose(&mut self, place: u16, disclose: Disclose) -> Result<(), FaultKind> {
        if self.record.id(place) != Some(disclose.id) || disclose.record != self.hash {
            return Err(FaultKind::WrongSession);
        }
        let message = self.signed().disclose(&self.hash, &disclose.id, &disclose.secret);
        self.by(place, &message, &disclose.signature)?;
        let Stage::Judging { disclosed, .. } = &mut self.stage else { return Ok(()) };
        if !Self::known(disclosed.get(&place), &disclose)? {
            disclosed.insert(place, disclose);
        }
        Ok(())
    }

    /// Whether the holder at a place signed.
    fn by(
        &self,
        place: u16,
        message: &Digest,
        signature: &quorate_crypto::sign::Signature,
    ) -> Result<(), FaultKind> {
        let holder = self.holders.get(&place).ok_or(FaultKind::NotNamed)?;
        holder.key.verify(message, signature).map_err(|_| FaultKind::BadSignature)
    }
}
