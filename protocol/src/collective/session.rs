//! What a session is about, fixed before anybody joins ([CKG-1]).

use quorate_crypto::collective::{Committee, DealKind, Noise};
use quorate_crypto::hash::{Digest, FieldHasher, digest};
use quorate_crypto::labels;
use quorate_keys::{PartyId, signed};
use serde::{Deserialize, Serialize};

use super::{HOLDERS, KeyRecord};
use crate::error::FaultKind;
use crate::id::Head;
use crate::wire::{self, KeyJoin, PartCommit, list};

/// What a session is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A new key: also what gets rid of a past quorum (`rekey`).
    New,
    /// New shares of a key in force, among the same holders ([CREN-1], KL-16, KL-17).
    Refresh {
        /// Record of the key in force.
        key: Digest,
        /// Generation of the shares that will be there after it.
        generation: u64,
        /// Places of holders that are evicted, ascending: they are named, or everybody takes part.
        #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
        evicted: Vec<u16>,
    },
    /// The key in force for another committee or threshold ([CREN-2], KL-17).
    Reshare(Reshare),
}

/// Whose shares of which key go to the holders of the record ([CREN-2]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshare {
    /// Record of the key in force.
    pub key: Digest,
    /// Generation of the shares that will be there after it.
    pub generation: u64,
    /// Old holders that deal, ascending by their place among the old ones.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub dealers: Vec<OldHolder>,
    /// Openings of the key so far: they count on ([OPEN-5]).
    pub opened: u32,
    /// Blames of the key so far.
    pub blamed: u16,
}

/// A holder of the key in force that deals its share ([CREN-2]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldHolder {
    /// Its place among the old holders.
    pub place: u16,
    /// Who it is.
    pub id: PartyId,
}

impl Reshare {
    /// Places of the dealers among the old holders.
    pub(crate) fn places(&self) -> Vec<u16> {
        self.dealers.iter().map(|dealer| dealer.place).collect()
    }

    /// Whether a record goes on with this key ([CREN-3]): one generation on, of the same epoch and head, dealt by r or
    /// more of those who have a share of it, for no one who was evicted, with no cap raised and no c lowered.
    pub(crate) fn goes_on(&self, record: &SessionRecord, before: &KeyRecord) -> Result<(), FaultKind> {
        let old = &before.made_by;
        let same = self.key == before.hash()
            && Some(self.generation) == old.generation().checked_add(1)
            && (record.deployment, record.epoch, record.head) == (old.deployment, old.epoch, old.head)
            && record.number > old.number;
        let sharers = old.active();
        let theirs = self.dealers.len() >= usize::from(old.r)
            && (self.dealers.iter())
                .all(|dealer| sharers.contains(&dealer.place) && old.id(dealer.place) == Some(dealer.id));
        let evicted = |id: &PartyId| {
            let at = old.holders.iter().position(|other| other == id);
            at.is_some_and(|at| !sharers.iter().any(|place| usize::from(*place) == at + 1))
        };
        let within = record.corrupt >= old.corrupt
            && record.n_max <= old.n_max
            && record.openings <= old.openings
            && record.attempts <= old.attempts
            && record.blames <= old.blames;
        if same && theirs && within && !record.holders.iter().any(evicted) {
            Ok(())
        } else {
            Err(FaultKind::BadKeySession)
        }
    }
}

/// Fixed and signed by the coordinator before a session begins ([CKG-1]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Deployment.
    pub deployment: Digest,
    /// Hash of the epoch record the key is for.
    pub epoch: Digest,
    /// Number of the session: every holder takes part in a higher one only.
    pub number: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// Head under which every holder's identity key stands (KL-18).
    pub head: Head,
    /// The holders by place, ascending by registry index; of a refresh all of the key, evicted ones too.
    #[serde(deserialize_with = "list::<_, _, HOLDERS>")]
    pub holders: Vec<PartyId>,
    /// Answers that open.
    pub r: u16,
    /// Corrupt holders that are to be tolerated.
    pub corrupt: u16,
    /// Most contributions of a round under the key.
    pub n_max: u32,
    /// Most openings of the key, those of tests included ([OPEN-5]).
    pub openings: u32,
    /// Most sets of responders for one set of contributions ([OPEN-5]).
    pub attempts: u8,
    /// Most blames of the key ([COPEN-4]).
    pub blames: u16,
}

impl SessionRecord {
    /// `H(key-session; body)`.
    #[must_use]
    pub fn hash(&self) -> Digest {
        digest(labels::KEY_SESSION, &[&wire::body(self)])
    }

    /// The digest the coordinator signs.
    #[must_use]
    pub fn signed_digest(&self) -> Digest {
        signed(labels::KEY_SESSION, &self.deployment, 0, &[&wire::body(self)])
    }

    /// Refuses a record that no session can be held for ([CKG-1], [CNOISE-1]).
    ///
    /// # Errors
    /// Holders not ascending, thresholds that protect nothing or cannot be met, bounds that do not hold, evicted
    /// holders that are none or leave fewer than r.
    pub fn check(&self) -> Result<Committee, FaultKind> {
        let m = u16::try_from(self.holders.len()).map_err(|_| FaultKind::BadKeySession)?;
        let ascending = self.holders.windows(2).all(|pair| pair[0].index < pair[1].index);
        let sound = self.r > self.corrupt && u32::from(self.r) + u32::from(self.corrupt) <= u32::from(m);
        if !ascending || !sound || self.number == 0 || self.attempts == 0 {
            return Err(FaultKind::BadKeySession);
        }
        let active = self.active();
        if let Purpose::Reshare(reshare) = &self.purpose {
            let ascending = reshare.dealers.windows(2).all(|pair| pair[0].place < pair[1].place)
                && reshare.dealers.windows(2).all(|pair| pair[0].id.index < pair[1].id.index);
            let room = self.seats().len() <= HOLDERS && reshare.opened < self.openings;
            if !ascending || !room || reshare.dealers.len() < 2 || reshare.generation == 0 {
                return Err(FaultKind::BadKeySession);
            }
        }
        let evicted = self.evicted();
        let named = evicted.windows(2).all(|pair| pair[0] < pair[1])
            && evicted.iter().all(|&place| place >= 1 && place <= m);
        if !named || active.len() < usize::from(self.r) + usize::from(self.corrupt) {
            return Err(FaultKind::BadKeySession);
        }
        Noise::bound(self.n_max, m, self.openings).map_err(|_| FaultKind::BadKeySession)?;
        Committee::new(m, self.r).map_err(|_| FaultKind::BadKeySession)
    }

    /// Places of holders that are evicted.
    #[must_use]
    pub fn evicted(&self) -> &[u16] {
        match &self.purpose {
            Purpose::New | Purpose::Reshare(_) => &[],
            Purpose::Refresh { evicted, .. } => evicted,
        }
    }

    /// Old holders that deal in a reshare and get no share themselves, in order.
    fn leaving(&self) -> impl Iterator<Item = PartyId> {
        let dealers = match &self.purpose {
            Purpose::Reshare(reshare) => &reshare.dealers[..],
            Purpose::New | Purpose::Refresh { .. } => &[],
        };
        dealers.iter().map(|dealer| dealer.id).filter(|id| !self.holders.contains(id))
    }

    /// Places of all who take part, ascending: those who get a share, then, in a reshare, dealers that get none at
    /// m + 1 and on ([CREN-3]).
    #[must_use]
    pub fn seats(&self) -> Vec<u16> {
        let mut seats = self.active();
        let first = u16::try_from(self.holders.len() + 1).unwrap_or(u16::MAX);
        seats.extend((first..).zip(self.leaving()).map(|(place, _)| place));
        seats
    }

    /// Ids of all who take part, in order.
    #[must_use]
    pub fn seat_ids(&self) -> Vec<PartyId> {
        self.seats().iter().filter_map(|place| self.id(*place)).collect()
    }

    /// Places of those who have a share after it, ascending.
    #[must_use]
    pub fn active(&self) -> Vec<u16> {
        let evicted = self.evicted();
        (1..).zip(&self.holders).map(|(place, _)| place).filter(|place| !evicted.contains(place)).collect()
    }

    /// Ids of those who have a share after it, in order.
    #[must_use]
    pub fn active_ids(&self) -> Vec<PartyId> {
        self.active().iter().filter_map(|place| self.id(*place)).collect()
    }

    /// Who is at a place: a holder, 1 … m, or a dealer of a reshare that gets no share.
    #[must_use]
    pub fn id(&self, place: u16) -> Option<PartyId> {
        let at = usize::from(place).checked_sub(1)?;
        match self.holders.get(at) {
            Some(id) => Some(*id),
            None => self.leaving().nth(at.checked_sub(self.holders.len())?),
        }
    }

    /// Where somebody who takes part stands.
    #[must_use]
    pub fn place(&self, id: &PartyId) -> Option<u16> {
        self.seats().into_iter().find(|place| self.id(*place).as_ref() == Some(id))
    }

    /// Kind of what is dealt from a place: in a reshare old holders deal their share, the others zero ([CREN-3]).
    pub(crate) fn kind_of(&self, place: u16) -> DealKind {
        match &self.purpose {
            Purpose::New => DealKind::Key,
            Purpose::Reshare(reshare)
                if self.id(place).is_some_and(|id| reshare.dealers.iter().any(|dealer| dealer.id == id)) =>
            {
                DealKind::Reshare
            }
            Purpose::Refresh { .. } | Purpose::Reshare(_) => DealKind::Refresh,
        }
    }

    /// Generation of the shares that come out.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        match &self.purpose {
            Purpose::New => 0,
            Purpose::Refresh { generation, .. } | Purpose::Reshare(Reshare { generation, .. }) => *generation,
        }
    }

    /// Sets of responders of the test: r of those who take part each, together all of them ([CKG-5]).
    #[must_use]
    pub fn trials(&self) -> Vec<Vec<u16>> {
        let (active, r) = (self.active(), usize::from(self.r));
        let mut sets: Vec<Vec<u16>> = active.chunks(r.max(1)).map(<[u16]>::to_vec).collect();
        if let Some(last) = sets.last_mut()
            && last.len() < r
        {
            *last = active[active.len().saturating_sub(r)..].to_vec();
        }
        sets
    }

    /// The record of the session after this one is dead, without those who are to blame or were silent ([CKG-7]).
    /// None if too few are left, or for a refresh: there who is left out is evicted, which the operator decides.
    #[must_use]
    pub fn without(&self, left_out: &[PartyId]) -> Option<Self> {
        if self.purpose != Purpose::New {
            return None;
        }
        let holders = self.holders.iter().filter(|id| !left_out.contains(id)).copied().collect();
        let next = Self { number: self.number.checked_add(1)?, holders, ..self.clone() };
        next.check().is_ok().then_some(next)
    }
}

/// `H(key-session-id; record hash, id and key of everybody who takes part)`.
pub(crate) fn session_id<'a>(record: &Digest, joins: impl IntoIterator<Item = &'a KeyJoin>) -> Digest {
    let mut hasher = FieldHasher::new(labels::KEY_SESSION_ID);
    hasher.field(record.as_bytes());
    for join in joins {
        hasher.field(&join.id.to_bytes()).field(&join.key);
    }
    hasher.finish()
}

/// `H(key-commits; session, id and commitment of everybody)`.
pub(crate) fn commits_hash(session: &Digest, commits: &[PartCommit]) -> Digest {
    let mut hasher = FieldHasher::new(labels::KEY_COMMITS);
    hasher.field(session.as_bytes());
    for commit in commits {
        hasher.field(&commit.id.to_bytes()).field(commit.commitment.as_bytes());
    }
    hasher.finish()
}

/// What is signed in a session, as digests: each binds deployment, session and the signer's id.
pub(crate) struct Signed<'a>(pub(crate) &'a Digest);

impl Signed<'_> {
    pub(crate) fn join(&self, record: &Digest, id: &PartyId, key: &[u8]) -> Digest {
        signed(labels::KEY_JOIN_SIGN, self.0, 0, &[record.as_bytes(), &id.to_bytes(), key])
    }

    pub(crate) fn commit(&self, session: &Digest, id: &PartyId, commitment: &Digest) -> Digest {
        let fields: [&[u8]; 3] = [session.as_bytes(), &id.to_bytes(), commitment.as_bytes()];
        signed(labels::KEY_COMMIT_SIGN, self.0, 0, &fields)
    }

    pub(crate) fn reveal(
        &self,
        session: &Digest,
        commits: &Digest,
        id: &PartyId,
        commitment: &Digest,
    ) -> Digest {
        let fields: [&[u8]; 4] =
            [session.as_bytes(), commits.as_bytes(), &id.to_bytes(), commitment.as_bytes()];
        signed(labels::KEY_REVEAL_SIGN, self.0, 0, &fields)
    }

    pub(crate) fn checks(&self, session: &Digest, id: &PartyId, checks: &[wire::PartCheck]) -> Digest {
        let entries = digest(labels::KEY_CHECK_SIGN, &[&wire::body(&checks)]);
        let fields: [&[u8]; 3] = [session.as_bytes(), &id.to_bytes(), entries.as_bytes()];
        signed(labels::KEY_CHECK_SIGN, self.0, 0, &fields)
    }

    pub(crate) fn answer(&self, session: &Digest, id: &PartyId, opening: &Digest, answer: &[u8]) -> Digest {
        let fields: [&[u8]; 4] = [session.as_bytes(), &id.to_bytes(), opening.as_bytes(), answer];
        signed(labels::KEY_TRY_SIGN, self.0, 0, &fields)
    }

    pub(crate) fn dead(&self, record: &Digest) -> Digest {
        signed(labels::KEY_DEAD_SIGN, self.0, 0, &[record.as_bytes()])
    }

    pub(crate) fn disclose(&self, record: &Digest, id: &PartyId, secret: &[u8; 32]) -> Digest {
        signed(labels::KEY_DISCLOSE_SIGN, self.0, 0, &[record.as_bytes(), &id.to_bytes(), secret])
    }
}
