//! Commit and reveal: a part is dealt and committed to before anybody's is known, and opened for the complete list
//! only ([CKG-2], [CKG-3]).

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_crypto::collective::{
    CollectiveError, CollectiveKey, Committee, DealContext, DealKind, Dealing, HolderKey, KeyShare,
    PairSeeds, Point, part_commitment,
};
use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::seal::{RoundPublic, SealSuite, Sealer};
use rand_core::CryptoRng;

use super::{Base, Checked, Committed, Holder, Revealed, Stage};
use crate::collective::Purpose;
use crate::collective::session::{Signed, commits_hash, session_id};
use crate::error::{Fault, FaultKind};
use crate::participant::share_info;
use crate::wire::{self, JoinEntry, KeyJoins, Opening, PartCommit, PartCommits, PartReveal, Sealed};

impl Holder {
    /// Deals to everybody on the complete list and commits. The same list again gets the same commitment.
    pub(super) fn on_joins<R: CryptoRng + ?Sized>(
        &mut self,
        joins: KeyJoins,
        rng: &mut R,
    ) -> Result<(), Fault> {
        if let Stage::Committed(committed) = &self.stage
            && committed.base.hash == joins.record
            && committed.joins == joins.list
        {
            let frame = Arc::clone(&committed.frame);
            self.send_again(&frame);
            return Ok(());
        }
        let Stage::Joined(joined) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        let keys = self.check_joins(&joined.base, &joined.key, &joins).map_err(Fault::coordinator)?;
        let session = session_id(&joins.record, joins.list.iter().map(|entry| &entry.join));
        let dealer = DealContext { session, dealer: self.who.id.to_bytes() };
        let share = self.in_force().map(|known| (&known.committee, &known.share));
        let made = make_part((&joined.base, share), &dealer, &keys, &joins.list, rng)
            .map_err(|_| Fault::coordinator(FaultKind::BadHolders))?;
        let Made { commitment, nonce, public, sealed, root, seeds } = made;
        let id = self.who.id;
        let signature = self.who.identity.sign(&self.signed().commit(&session, &id, &commitment));
        let commit = PartCommit { session, id, commitment, signature };
        let frame: Arc<[u8]> = wire::encode(0, &commit).into();
        // Signed when the list is known.
        let opening = Opening { nonce, shares: root, public, signature };
        self.send_again(&frame);
        if let Stage::Joined(joined) = std::mem::replace(&mut self.stage, Stage::Idle) {
            let (base, joins) = (joined.base, joins.list);
            let committed = Committed { base, session, joins, opening, sealed, commitment, seeds, frame };
            self.stage = Stage::Committed(Box::new(committed));
        }
        Ok(())
    }

    /// Complete, in order, every identity key registered and behind its own key for the session (KL-18), keys distinct.
    fn check_joins(
        &self,
        base: &Base,
        own: &[u8],
        joins: &KeyJoins,
    ) -> Result<BTreeMap<u16, RoundPublic>, FaultKind> {
        let record = &base.record;
        let seats = record.seats();
        let complete = joins.record == base.hash
            && joins.list.len() == seats.len()
            && joins.list.iter().zip(record.seat_ids()).all(|(entry, id)| entry.join.id == id);
        if !complete {
            return Err(FaultKind::BadHolders);
        }
        let mut keys = BTreeMap::new();
        for (place, entry) in seats.into_iter().zip(&joins.list) {
            let key = verify_join(record, &base.hash, entry)?;
            let fresh = keys.values().all(|other| *other != key);
            if !fresh || (place == base.place && key.as_bytes() != own) {
                return Err(FaultKind::BadHolders);
            }
            keys.insert(place, key);
        }
        Ok(keys)
    }

    /// Opens the commitment for the complete list, once ([CKG-2]). The same list again gets the same bytes.
    pub(super) fn on_commits(&mut self, commits: PartCommits) -> Result<(), Fault> {
        if let Stage::Revealed(revealed) = &self.stage
            && revealed.session == commits.session
            && revealed.commits == commits.list
        {
            let frame = Arc::clone(&revealed.frame);
            self.send_again(&frame);
            return Ok(());
        }
        if let Stage::Checked(checked) = &self.stage
            && checked.session == commits.session
            && checked.base.is_leaving()
        {
            let frame = Arc::clone(&checked.checks);
            self.send_again(&frame);
            return Ok(());
        }
        let Stage::Committed(committed) = &self.stage else {
            return Err(Fault::coordinator(FaultKind::OutOfTurn));
        };
        self.check_commits(committed, &commits).map_err(Fault::coordinator)?;
        let (session, id) = (commits.session, self.who.id);
        let commits_hash = commits_hash(&session, &commits.list);
        let message = self.signed().reveal(&session, &commits_hash, &id, &committed.commitment);
        let signature = self.who.identity.sign(&message);
        let Stage::Committed(committed) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            return Ok(());
        };
        let Committed { base, joins, opening, sealed, seeds, .. } = *committed;
        let reveal = PartReveal { session, id, opening: Opening { signature, ..opening }, sealed };
        let frame: Arc<[u8]> = wire::encode(0, &reveal).into();
        self.send_again(&frame);
        if let Some(before) = base.before.as_deref().filter(|_| base.is_leaving()) {
            // Nothing is dealt to it: it waits for the test.
            let key = CollectiveKey::parse(&before.record.key_session, before.key.encoded());
            let (parts, answered) = (before.record.parts, BTreeMap::new());
            let made = key.ok().map(|key| (key, None));
            let checked =
                Checked { base, session, joins, commits_hash, parts, checks: frame, made, answered };
            self.stage = Stage::Checked(Box::new(checked));
            return Ok(());
        }
        let (point, received, commits) = (Point::of(&session), BTreeMap::new(), commits.list);
        let revealed =
            Revealed { base, session, joins, commits, commits_hash, point, seeds, received, frame };
        self.stage = Stage::Revealed(Box::new(revealed));
        Ok(())
    }

    fn check_commits(&self, committed: &Committed, commits: &PartCommits) -> Result<(), FaultKind> {
        let complete = commits.session == committed.session && commits.list.len() == committed.joins.len();
        if !complete {
            return Err(FaultKind::BadHolders);
        }
        for (commit, entry) in commits.list.iter().zip(&committed.joins) {
            let own = commit.id == self.who.id;
            let theirs = commit.id == entry.join.id && commit.session == committed.session;
            if !theirs || (own && commit.commitment != committed.commitment) {
                return Err(FaultKind::BadHolders);
            }
            let message = self.signed().commit(&commit.session, &commit.id, &commit.commitment);
            entry.identity.verify(&message, &commit.signature).map_err(|_| FaultKind::BadSignature)?;
        }
        Ok(())
    }
}

impl Base {
    /// Deals in a reshare and gets no share.
    pub(super) fn is_leaving(&self) -> bool {
        !self.record.active().contains(&self.place)
    }
}

/// The key somebody joined with, if its registered identity key signed for it (KL-18).
pub(in crate::collective) fn verify_join(
    record: &crate::collective::SessionRecord,
    hash: &Digest,
    entry: &JoinEntry,
) -> Result<RoundPublic, FaultKind> {
    let JoinEntry { join, identity, proof } = entry;
    let registered = identity.key_hash() == join.id.key_hash
        && record.head.contains(&record.deployment, join.id.index, identity, proof);
    if !registered {
        return Err(FaultKind::NotRegistered);
    }
    let message = Signed(&record.deployment).join(hash, &join.id, &join.key);
    identity.verify(&message, &join.signature).map_err(|_| FaultKind::BadSignature)?;
    RoundPublic::parse(SealSuite::X25519, &join.key).map_err(|_| FaultKind::BadHolders)
}

/// What a holder commits to.
struct Made {
    commitment: Digest,
    nonce: [u8; 32],
    public: Vec<u8>,
    sealed: Vec<Sealed>,
    root: Digest,
    seeds: PairSeeds,
}

fn make_part<R: CryptoRng + ?Sized>(
    (base, share): (&Base, Option<(&Committee, &KeyShare)>),
    ctx: &DealContext,
    keys: &BTreeMap<u16, RoundPublic>,
    joins: &[JoinEntry],
    rng: &mut R,
) -> Result<Made, CollectiveError> {
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    // Those who get a share come first.
    let active = base.record.active();
    let receivers = || keys.iter().zip(joins).filter(|((place, _), _)| active.contains(place));
    let seal = |dealing: &Dealing, rng: &mut R| {
        let own = base.record.id(base.place).ok_or(CollectiveError::Malformed)?;
        let mut sealer = Sealer::new(SealSuite::X25519, rng);
        let mut sealed = Vec::with_capacity(keys.len());
        for ((place, key), entry) in receivers() {
            let info = share_info(&ctx.session, &own, &entry.join.id, *place);
            let made = sealer
                .seal(key, info.as_bytes(), dealing.plaintext(*place), rng)
                .map_err(|_| CollectiveError::Malformed)?;
            sealed.push(Sealed { enc: made.enc, ct: made.ciphertext });
        }
        let leaves: Vec<Digest> =
            active.iter().zip(&sealed).map(|(place, sealed)| sealed.leaf(*place)).collect();
        Ok::<_, CollectiveError>((merkle::root(&leaves), sealed, dealing.pair_seeds()))
    };
    let committed = |public: &[u8], root: &Digest| part_commitment(ctx, &nonce, public, root);
    let (public, (commitment, (root, sealed, seeds))) = match &base.record.purpose {
        Purpose::New => {
            let holder = HolderKey::generate(rng);
            let public = holder.public(&Point::of(&ctx.session));
            let made = holder.deal(&base.committee, ctx, rng, |dealing, rng| {
                let made = seal(dealing, rng)?;
                Ok::<_, CollectiveError>((committed(&public, &made.0), made))
            })?;
            (public, made)
        }
        Purpose::Reshare(reshare) if base.record.kind_of(base.place) == DealKind::Reshare => {
            let (old, share) = share.ok_or(CollectiveError::Malformed)?;
            let dealing = share.deal_share((old, &reshare.places()), &base.committee, ctx, rng)?;
            let made = seal(&dealing, rng)?;
            (Vec::new(), (committed(&[], &made.0), made))
        }
        Purpose::Refresh { .. } | Purpose::Reshare(_) => {
            let made = seal(&base.committee.deal_zero(ctx, rng), rng)?;
            (Vec::new(), (committed(&[], &made.0), made))
        }
    };
    Ok(Made { commitment, nonce, public, sealed, root, seeds })
}
