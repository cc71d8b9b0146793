//! The roster of a round, verified ([CONV-1], [ROST-1], [DRAW-1]).

use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels;
use quorate_crypto::seal::{RoundPublic, SealSuite};
use quorate_crypto::sign::{self, PublicKey};
use rand_core::CryptoRng;

use crate::announce::Accepted;
use crate::draw::Role;
use crate::error::{Fault, FaultKind};
use crate::id::PartyId;
use crate::statement::{RosterStatement, RoundKeyStatement, Statement};
use crate::wire::{Roster, RosterEntry, Unverified};

/// One verified member.
pub struct RosterMember {
    /// The member.
    pub id: PartyId,
    /// Its identity key.
    pub identity: PublicKey,
    /// Its round key.
    pub key: RoundPublic,
}

/// A roster every entry of which was verified; fixes the session.
pub struct VerifiedRoster {
    sid: Digest,
    members: Vec<RosterMember>,
}

impl VerifiedRoster {
    /// Session id.
    #[must_use]
    pub const fn sid(&self) -> &Digest {
        &self.sid
    }

    /// Members in order; index l stands at position l − 1.
    #[must_use]
    pub fn members(&self) -> &[RosterMember] {
        &self.members
    }

    /// The member at an index 1 … m.
    #[must_use]
    pub fn member(&self, index: u16) -> Option<&RosterMember> {
        self.members.get(usize::from(index).checked_sub(1)?)
    }

    /// Index of an id, 1 … m.
    #[must_use]
    pub fn index_of(&self, id: &PartyId) -> Option<u16> {
        let at = self.members.iter().position(|member| member.id == *id)?;
        u16::try_from(at + 1).ok()
    }
}

/// `rh = H(roster; mh, u16le(m), for every member: u32le(index), key hash, round key)`.
#[must_use]
pub fn roster_hash<'a>(mh: &Digest, members: impl ExactSizeIterator<Item = (PartyId, &'a [u8])>) -> Digest {
    let mut hasher = FieldHasher::new(labels::ROSTER);
    hasher.field(mh.as_bytes()).field(&(members.len() as u16).to_le_bytes());
    for (id, key) in members {
        hasher.field(&id.index.to_le_bytes()).field(id.key_hash.as_bytes()).field(key);
    }
    hasher.finish()
}

/// `sid = H(session; mh, rh)`.
#[must_use]
pub fn session(mh: &Digest, rh: &Digest) -> Digest {
    digest(labels::SESSION, &[mh.as_bytes(), rh.as_bytes()])
}

/// The session of a round without a committee (mode plain).
#[must_use]
pub fn plain_session(mh: &Digest) -> Digest {
    session(mh, &roster_hash(mh, [].into_iter()))
}

impl Unverified<Roster> {
    /// Whether these are the members that an accepted session was computed from: a repetition, no second
    /// roster ([ROST-1]).
    pub(crate) fn repeats(&self, mh: &Digest, sid: &Digest) -> bool {
        let members = &self.body().members;
        let member = |entry: &RosterEntry| PartyId::new(entry.index, &entry.identity);
        let rh = roster_hash(mh, members.iter().map(|entry| (member(entry), &entry.key[..])));
        session(mh, &rh) == *sid
    }

    /// Checks that there are exactly m members, distinct, eligible, in draw order, with distinct round
    /// keys and valid signatures, all under E, and the coordinator's signature over all of it.
    pub fn verify<R: CryptoRng + ?Sized>(
        self,
        accepted: &Accepted,
        coordinator: &PublicKey,
        rng: &mut R,
    ) -> Result<VerifiedRoster, Fault> {
        if self.round() != accepted.manifest.round {
            return Err(Fault::coordinator(FaultKind::WrongSession));
        }
        verify(&self.into_body(), accepted, coordinator, rng).map_err(Fault::coordinator)
    }
}

fn verify<R: CryptoRng + ?Sized>(
    roster: &Roster,
    accepted: &Accepted,
    coordinator: &PublicKey,
    rng: &mut R,
) -> Result<VerifiedRoster, FaultKind> {
    if roster.members.len() != usize::from(accepted.manifest.committee.m) {
        return Err(FaultKind::BadRoster);
    }
    let members: Vec<RosterMember> =
        roster.members.iter().map(|entry| member(entry, accepted)).collect::<Result<_, _>>()?;
    check_order(&members, accepted)?;
    let rh = roster_hash(&accepted.mh, members.iter().map(|member| (member.id, member.key.as_bytes())));
    let context = accepted.context();
    let seal = RosterStatement { mh: &accepted.mh, rh: &rh };
    let mut items = vec![seal.item(&context, coordinator, roster.signature)];
    for (member, entry) in members.iter().zip(&roster.members) {
        let statement = RoundKeyStatement { mh: &accepted.mh, id: &member.id, key: &entry.key };
        items.push(statement.item(&context, &member.identity, entry.signature));
    }
    sign::verify_batch(&items, rng).map_err(|_| FaultKind::BadSignature)?;
    Ok(VerifiedRoster { sid: session(&accepted.mh, &rh), members })
}

fn member(entry: &RosterEntry, accepted: &Accepted) -> Result<RosterMember, FaultKind> {
    let id = PartyId::new(entry.index, &entry.identity);
    if !accepted.may_serve(&id) {
        return Err(FaultKind::NotEligible);
    }
    if !accepted.is_registered(&id, &entry.identity, &entry.proof) {
        return Err(FaultKind::NotRegistered);
    }
    let key = parse_key(accepted.manifest.seal, &entry.key)?;
    Ok(RosterMember { id, identity: entry.identity.clone(), key })
}

/// A round key of the manifest's sealing suite.
pub(crate) fn parse_key(suite: SealSuite, bytes: &[u8]) -> Result<RoundPublic, FaultKind> {
    RoundPublic::parse(suite, bytes).map_err(|_| FaultKind::BadRoster)
}

/// Strictly increasing tickets make ids distinct; round keys are compared sorted.
fn check_order(members: &[RosterMember], accepted: &Accepted) -> Result<(), FaultKind> {
    let draw = accepted.epoch.draw(accepted.manifest.round);
    let tickets: Vec<_> = members.iter().map(|member| draw.ticket(Role::Committee, &member.id)).collect();
    let mut keys: Vec<&[u8]> = members.iter().map(|member| member.key.as_bytes()).collect();
    keys.sort_unstable();
    let distinct = keys.windows(2).all(|pair| pair[0] != pair[1]);
    let ordered = tickets.windows(2).all(|pair| pair[0] < pair[1]);
    if distinct && ordered { Ok(()) } else { Err(FaultKind::BadRoster) }
}

impl VerifiedRoster {
    /// The coordinator's own: every entry was verified when its round key came.
    pub(crate) const fn assemble(sid: Digest, members: Vec<RosterMember>) -> Self {
        Self { sid, members }
    }
}
