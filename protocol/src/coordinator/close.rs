//! Close: fixes the set D by [CMP-1] and takes the left-out vectors back out of the sum.
//!
//! The rule protects rounds, not privacy: whatever D is, members check it for themselves
//! ([OPEN-2]). [`decide`] is pure; everything it needs is in an [`Edges`] table.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::share::{CheckOutcome, Sharing};

use super::check::{Cell, word};
use super::contribute::{Collecting, Sum};
use super::lock::Locking;
use super::{ClosedSet, Coordinator, CoordinatorEvent, Stage};
use crate::error::{Abort, ApiMisuse};
use crate::id::{PartyId, SetId, Time};
use crate::manifest::Manifest;
use crate::params::DataPlane;
use crate::roster::VerifiedRoster;
use crate::wire::{Leaf, set_leaf};

/// Why a contribution was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It was complete too late to be relayed.
    Late,
    /// More than c members complain or are off its word: at least one honest member vouches, so the sender
    /// is named. In mode `homomorphic`: it signed a commitment to another ciphertext.
    Named,
    /// Its check values are no code word; at c = ⌊(m−1)/3⌋ this alone proves nothing about the sender.
    Undecodable,
    /// An edge was left; no blame.
    Edge,
}

/// Numbers of the rule.
pub(super) struct Rule {
    /// Members.
    pub(super) m: usize,
    /// Corrupt members tolerated.
    pub(super) c: usize,
    /// Edges a member may have, κ.
    pub(super) kappa: usize,
    /// max(r, Q, a_min).
    pub(super) need: usize,
}

/// What is known about each contribution.
pub(super) trait Edges {
    /// Registry indices, increasing.
    fn senders(&self) -> Vec<u32>;
    /// Whether its shares were relayed.
    fn is_relayed(&self, sender: u32) -> bool;
    /// Members that said nothing about it.
    fn silent(&self, sender: u32) -> Vec<usize>;
    /// Members that complained about it.
    fn complaints(&self, sender: u32) -> Vec<usize>;
    /// Members off its decoded word, counting only members that `counts` keeps; `None` if undecodable.
    fn off(&self, sender: u32, counts: &dyn Fn(usize) -> bool) -> Option<Vec<usize>>;
}

/// The outcome of the rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) included: Vec<u32>,
    pub(super) left_out: Vec<(u32, LeftOut)>,
    pub(super) dropped: BTreeSet<usize>,
}

/// [CMP-1], steps (0) to (4).
pub(super) fn decide(edges: &dyn Edges, rule: &Rule) -> Result<Decision, Abort> {
    let mut left_out = Vec::new();
    let (relayed, late): (Vec<u32>, Vec<u32>) =
        edges.senders().into_iter().partition(|&s| edges.is_relayed(s));
    left_out.extend(late.into_iter().map(|sender| (sender, LeftOut::Late)));
    let mut dropped = over(relayed.iter().flat_map(|&sender| edges.silent(sender)), rule.kappa, rule.m);

    let mut kept: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    for &sender in &relayed {
        let counts = |member: usize| !dropped.contains(&member);
        let mut against: BTreeSet<usize> = edges.complaints(sender).into_iter().collect();
        let decodable = edges.off(sender, &counts).map(|off| against.extend(off)).is_some();
        against.retain(|member| counts(*member));
        let mut with: BTreeSet<usize> = edges.silent(sender).into_iter().filter(|&at| counts(at)).collect();
        with.extend(&against);
        if against.len() > rule.c {
            left_out.push((sender, LeftOut::Named));
        } else if with.len() > rule.c {
            // Silence proves nothing: the message may have been lost.
            left_out.push((sender, LeftOut::Edge));
        } else if !decodable {
            left_out.push((sender, LeftOut::Undecodable));
        } else {
            kept.insert(sender, with);
        }
    }

    dropped.append(&mut over(kept.values().flatten().copied(), rule.kappa, rule.m));
    let mut included = Vec::new();
    for (sender, with) in kept {
        if with.iter().all(|member| dropped.contains(member)) {
            included.push(sender);
        } else {
            left_out.push((sender, LeftOut::Edge));
        }
    }
    left_out.sort_unstable();
    let got = rule.m - dropped.len();
    if got < rule.need {
        return Err(Abort::TooFewHolders { got, need: rule.need });
    }
    Ok(Decision { included, left_out, dropped })
}

/// Members that occur more than `most` times.
fn over(members: impl Iterator<Item = usize>, most: usize, m: usize) -> BTreeSet<usize> {
    let mut counts = vec![0_usize; m];
    for member in members {
        if let Some(count) = counts.get_mut(member) {
            *count += 1;
        }
    }
    counts.iter().enumerate().filter(|(_, count)| **count > most).map(|(member, _)| member).collect()
}

struct Table<'a> {
    stage: &'a Collecting,
    sharing: &'a Sharing,
}

impl Table<'_> {
    fn members(&self, sender: u32, wanted: impl Fn(&Cell) -> bool) -> Vec<usize> {
        let cells = self.stage.taken.get(&sender).map_or(&[][..], |taken| taken.cells.said());
        cells.iter().enumerate().filter(|(_, cell)| wanted(cell)).map(|(at, _)| at).collect()
    }
}

impl Edges for Table<'_> {
    fn senders(&self) -> Vec<u32> {
        self.stage.taken.keys().copied().collect()
    }

    fn is_relayed(&self, sender: u32) -> bool {
        self.stage.taken.get(&sender).is_some_and(|taken| taken.relayed)
    }

    fn silent(&self, sender: u32) -> Vec<usize> {
        self.members(sender, |cell| *cell == Cell::Silent)
    }

    fn complaints(&self, sender: u32) -> Vec<usize> {
        self.members(sender, |cell| matches!(cell, Cell::Complaint(_)))
    }

    fn off(&self, sender: u32, counts: &dyn Fn(usize) -> bool) -> Option<Vec<usize>> {
        let taken = self.stage.taken.get(&sender)?;
        if taken.cells.said().is_empty() {
            return Some(Vec::new());
        }
        match word(taken, self.sharing, counts)? {
            CheckOutcome::Consistent => Some(Vec::new()),
            CheckOutcome::Off(members) => Some(members.iter().map(|&index| usize::from(index) - 1).collect()),
            CheckOutcome::Undecodable => None,
        }
    }
}

/// D is decided; left-out vectors come back out of the sum.
pub(super) struct Withdrawing {
    pub(super) sid: Digest,
    pub(super) roster: Option<VerifiedRoster>,
    pub(super) sum: Sum,
    pub(super) included: Vec<(PartyId, Digest)>,
    pub(super) left_out: Vec<u32>,
    pub(super) holders: Vec<u16>,
    awaited: BTreeMap<u32, Digest>,
}

impl Withdrawing {
    /// A set of which nothing has to come out, and those who were left out of it.
    pub(super) fn nothing(
        (sid, included): (Digest, Vec<(PartyId, Digest)>),
        left_out: Vec<u32>,
        sum: Sum,
    ) -> Self {
        let (holders, awaited) = (Vec::new(), BTreeMap::new());
        Self { sid, roster: None, sum, included, left_out, holders, awaited }
    }

    /// One vector back, the very one that was folded.
    pub(super) fn withdraw(&mut self, sender: u32, vector: &[u8]) -> Result<(), ApiMisuse> {
        let hash = self.awaited.get(&sender).ok_or(ApiMisuse::WrongSpool)?;
        if quorate_crypto::hash::vector_digest(vector) != *hash {
            return Err(ApiMisuse::WrongSpool);
        }
        if let Sum::Masked(accumulator) = &mut self.sum {
            accumulator.sub(vector).map_err(|_| ApiMisuse::WrongSpool)?;
        }
        self.awaited.remove(&sender);
        Ok(())
    }

    /// The triple and its leaves ([OPEN-2]).
    pub(super) fn set(&self) -> (SetId, Vec<Leaf>) {
        let hashes: Vec<Digest> =
            self.included.iter().map(|(id, hdr)| set_leaf(&self.sid, id, hdr)).collect();
        let leaves = self.included.iter().map(|(id, hdr)| Leaf { sender: id.index, hdr: *hdr }).collect();
        (SetId { sid: self.sid, root: merkle::root(&hashes), size: hashes.len() as u32 }, leaves)
    }
}

impl Coordinator {
    /// Decides D and asks for the vectors that have to come out.
    pub(super) fn close(&mut self) -> Result<(), Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(()) };
        let Stage::Collecting(stage) = &round.stage else { return Ok(()) };
        let manifest = std::sync::Arc::clone(&round.accepted.manifest);
        let decision = match round.accepted.plan.sharing() {
            Some(sharing) => decide(&Table { stage, sharing }, &rule(&manifest))?,
            None => {
                let included = stage.taken.keys().copied().collect();
                Decision { included, left_out: Vec::new(), dropped: BTreeSet::new() }
            }
        };
        let (got, need) = (decision.included.len(), manifest.cohort.n_min as usize);
        if got < need {
            return Err(Abort::CohortTooSmall { got, need });
        }
        let masked = matches!(round.accepted.plan.data(), DataPlane::Masked(_));
        let Stage::Collecting(stage) = std::mem::replace(&mut round.stage, Stage::Done(BTreeMap::new()))
        else {
            return Ok(());
        };
        let closed = closed_set(&stage, &decision);
        let withdrawing = withdrawing(*stage, decision, masked);
        for sender in withdrawing.awaited.keys() {
            self.out.event(CoordinatorEvent::Withdraw { sender: *sender });
        }
        self.out.event(CoordinatorEvent::Closed(Box::new(closed)));
        round.stage = Stage::Withdrawing(Box::new(withdrawing));
        Ok(())
    }

    /// Goes on once every left-out vector is out; a driver that has lost one ends the round at the Lock
    /// deadline at the latest.
    pub(super) fn advance_withdrawing(&mut self, now: Time) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let deadline = round.at(round.accepted.manifest.deadlines.lock);
        let Stage::Withdrawing(stage) = &round.stage else { return Ok(false) };
        if !stage.awaited.is_empty() {
            return if now < deadline { Ok(false) } else { Err(Abort::Cancelled) };
        }
        let Stage::Withdrawing(stage) = std::mem::replace(&mut round.stage, Stage::Done(BTreeMap::new()))
        else {
            return Ok(false);
        };
        if stage.roster.is_none() {
            self.finish_plain(*stage)?;
        } else {
            round.closed = true;
            let locking = Locking::start(*stage, round, &self.identity, &mut self.out);
            round.stage = Stage::Locking(Box::new(locking));
        }
        Ok(true)
    }
}

fn rule(manifest: &Manifest) -> Rule {
    let committee = &manifest.committee;
    Rule {
        m: usize::from(committee.m),
        c: usize::from(committee.c),
        kappa: manifest.cohort.kappa as usize,
        need: usize::from(committee.r.max(committee.q).max(committee.a_min)),
    }
}

fn closed_set(stage: &Collecting, decision: &Decision) -> ClosedSet {
    let members = stage.roster.as_ref().map_or(&[][..], VerifiedRoster::members);
    ClosedSet {
        included: decision.included.clone(),
        left_out: decision.left_out.clone(),
        dropped: decision.dropped.iter().filter_map(|&at| members.get(at)).map(|member| member.id).collect(),
        complaints: stage.complaints,
    }
}

fn withdrawing(stage: Collecting, decision: Decision, masked: bool) -> Withdrawing {
    let m = stage.members();
    let holders = (0..m).filter(|at| !decision.dropped.contains(at)).map(|at| at as u16 + 1).collect();
    let entry = |sender: &u32| stage.taken.get(sender).map(|taken| (taken.id, taken.hdr));
    let included = decision.included.iter().filter_map(entry).collect();
    let left_out: Vec<u32> = decision.left_out.iter().map(|(sender, _)| *sender).collect();
    let vector = |sender: &u32| Some((*sender, stage.taken.get(sender)?.header.vector));
    let awaited = if masked { left_out.iter().filter_map(vector).collect() } else { BTreeMap::new() };
    Withdrawing { sid: stage.sid, roster: stage.roster, sum: stage.sum, included, left_out, holders, awaited }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table by hand: silent and complaining (sender, member) pairs, off pairs, undecodable senders.
    #[derive(Default)]
    struct ByHand {
        senders: u32,
        silent: BTreeSet<(u32, usize)>,
        complaints: BTreeSet<(u32, usize)>,
        off: BTreeSet<(u32, usize)>,
        undecodable: BTreeSet<u32>,
        late: BTreeSet<u32>,
    }

    fn of(set: &BTreeSet<(u32, usize)>, sender: u32) -> Vec<usize> {
        set.iter().filter(|(s, _)| *s == sender).map(|(_, member)| *member).collect()
    }

    impl Edges for ByHand {
        fn senders(&self) -> Vec<u32> {
            (0..self.senders).collect()
        }
        fn is_relayed(&self, sender: u32) -> bool {
            !self.late.contains(&sender)
        }
        fn silent(&self, sender: u32) -> Vec<usize> {
            of(&self.silent, sender)
        }
        fn complaints(&self, sender: u32) -> Vec<usize> {
            of(&self.complaints, sender)
        }
        fn off(&self, sender: u32, counts: &dyn Fn(usize) -> bool) -> Option<Vec<usize>> {
            if self.undecodable.contains(&sender) {
                return None;
            }
            Some(of(&self.off, sender).into_iter().filter(|member| counts(*member)).collect())
        }
    }

    const RULE: Rule = Rule { m: 16, c: 5, kappa: 6, need: 11 };

    #[test]
    fn without_edges_everybody_is_in() {
        let decision = decide(&ByHand { senders: 50, ..ByHand::default() }, &RULE).unwrap();
        assert_eq!(decision.included.len(), 50);
        assert!(decision.left_out.is_empty() && decision.dropped.is_empty());
    }

    // RT-70 [CMP-1]: a member that complains about everybody is dropped; nobody is lost.
    #[test]
    fn a_member_that_complains_about_everybody_is_dropped() {
        let complaints = (0..50).map(|sender| (sender, 3)).collect();
        let decision = decide(&ByHand { senders: 50, complaints, ..ByHand::default() }, &RULE).unwrap();
        assert_eq!(decision.included.len(), 50);
        assert_eq!(decision.dropped, BTreeSet::from([3]));
    }

    // RT-70 [CMP-1]: c members that each stay at κ edges cost at most c·κ honest senders.
    #[test]
    fn complaints_up_to_kappa_cost_at_most_c_times_kappa() {
        let complaints = (0..30).map(|sender| (sender, (sender / 6) as usize)).collect();
        let decision = decide(&ByHand { senders: 50, complaints, ..ByHand::default() }, &RULE).unwrap();
        assert_eq!(decision.included.len(), 20);
        assert!(decision.left_out.iter().all(|(_, why)| *why == LeftOut::Edge));
        assert!(decision.dropped.is_empty());
    }

    // RT-24 [CMP-1]: a dealer with more than c edges is named, honest members are not dropped for it.
    #[test]
    fn a_bad_dealer_is_named_and_costs_no_member() {
        let complaints = (0..9).map(|member| (7, member)).collect();
        let undecodable = BTreeSet::from([8]);
        let table = ByHand { senders: 50, complaints, undecodable, ..ByHand::default() };
        let decision = decide(&table, &RULE).unwrap();
        assert_eq!(decision.left_out, vec![(7, LeftOut::Named), (8, LeftOut::Undecodable)]);
        assert!(decision.dropped.is_empty());
    }

    // RT-23 [CMP-1]: up to m − max(r, Q) silent members are dropped, one more ends the round.
    #[test]
    fn silent_members_are_dropped_until_too_few_hold_the_set() {
        let quiet = |members: usize| {
            let silent =
                (0..50).flat_map(|sender| (0..members).map(move |member| (sender, member))).collect();
            decide(&ByHand { senders: 50, silent, ..ByHand::default() }, &RULE)
        };
        assert_eq!(quiet(5).unwrap().dropped.len(), 5);
        assert_eq!(quiet(6), Err(Abort::TooFewHolders { got: 10, need: 11 }));
    }

    // RT-24 [CMP-1]: c false complaints and one honest member that was not heard name nobody.
    #[test]
    fn silence_never_adds_up_to_blame() {
        let complaints = (0..5).map(|member| (7, member)).collect();
        let silent = BTreeSet::from([(7, 9)]);
        let table = ByHand { senders: 50, complaints, silent, ..ByHand::default() };
        let decision = decide(&table, &RULE).unwrap();
        assert_eq!(decision.left_out, vec![(7, LeftOut::Edge)]);
        assert!(decision.dropped.is_empty());
    }

    #[test]
    fn late_senders_are_left_out_without_blame() {
        let table = ByHand { senders: 20, late: BTreeSet::from([4, 5]), ..ByHand::default() };
        let decision = decide(&table, &RULE).unwrap();
        assert_eq!(decision.left_out, vec![(4, LeftOut::Late), (5, LeftOut::Late)]);
    }
}
