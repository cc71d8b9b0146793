//! The coordinator's keys, as a party knows them ([KEY-1] … [KEY-5]), and the trust root behind them ([ROOT-2]).

use quorate_crypto::sign::PublicKey;
use quorate_keys::root::TrustRoot;
use quorate_keys::{KnownKeys, SignedKeyList};

use super::{Accepted, Trust};
use crate::error::FaultKind;
use crate::wire::{Keys, Unverified};

/// By what the coordinator's keys are judged beside the founding key ([ROOT-2]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Anchor {
    /// By nothing: the deployment has no trust root, or the party has not heard of it.
    #[default]
    None,
    /// A root is pinned and has not come yet: nothing begins.
    Awaited,
    /// By this root.
    Root(Box<TrustRoot>),
}

impl Trust {
    /// Judges the coordinator's keys by this from now on ([ROOT-2]).
    pub(crate) fn rest_on(&mut self, anchor: Anchor) {
        self.anchor = anchor;
    }

    /// Whether the keys known are not those of the trust root ([ROOT-2]).
    fn contradicts(&self) -> bool {
        match &self.anchor {
            Anchor::None => false,
            Anchor::Awaited => true,
            Anchor::Root(root) => self.keys.agrees(root).is_err(),
        }
    }

    /// The coordinator's keys.
    #[must_use]
    pub const fn keys(&self) -> &KnownKeys {
        &self.keys
    }

    /// Number of the newest list ever acted on.
    pub(crate) const fn keys_mark(&self) -> u64 {
        self.mark
    }

    /// Says what time it is, in seconds since 1970: only for the age of a list ([KEY-3]).
    pub const fn tell(&mut self, wall: u64) {
        self.wall = wall;
    }

    /// Judges a list of keys ([KEY-1]): what is known after it, `None` if it is the one that is known. Nothing changes. Its
    /// age does not matter here: a reader that was away gets expired ones on the way to the newest.
    pub(crate) fn judge_keys(&self, keys: &Unverified<Keys>) -> Result<Option<KnownKeys>, FaultKind> {
        let list = SignedKeyList::parse(&keys.body().list).map_err(|_| FaultKind::BadKeys)?;
        if keys.round() != 0 {
            return Err(FaultKind::BadKeys);
        }
        if self.keys.signed() == Some(&list) {
            return Ok(None);
        }
        let next = match &self.anchor {
            // A chain that a thief has led on has no way back but by the root.
            Anchor::Root(root) if self.contradicts() => {
                self.keys.follow(list.clone()).or_else(|_| self.keys.follow_by_root(list, root))
            }
            _ => self.keys.follow(list),
        };
        next.map(Some).map_err(|_| FaultKind::BadKeys)
    }

    /// Takes over keys that were verified from the ones known, or from the founding key; never fewer lists than before.
    pub(crate) fn trust(&mut self, keys: KnownKeys) {
        if keys.begins_as(&self.keys) && keys.seq() >= self.keys.seq() {
            self.mark = self.mark.max(keys.seq());
            self.keys = keys;
        }
    }

    /// Nothing below this number is acted on, whether or not the list can be found again.
    pub(crate) fn mark_keys(&mut self, seq: u64) {
        self.mark = self.mark.max(seq);
    }

    /// Whether the key that signed a round was revoked, or left out, since ([KEY-4]), or the root contradicts it ([ROOT-2]).
    pub(crate) fn is_over(&self, accepted: &Accepted) -> bool {
        !self.counts(&accepted.signer)
    }

    /// Whether what a key of the coordinator has signed counts: it was not revoked, and the root does not contradict it.
    pub(crate) fn counts(&self, signer: &PublicKey) -> bool {
        self.keys.verifies(signer) && !self.contradicts()
    }

    /// Who may have signed what belongs to a round: the key of its manifest. After a restart that is not known any more,
    /// and it is any of the keys that may verify old things.
    pub(crate) fn signers<'a>(&'a self, accepted: Option<&'a Accepted>) -> Vec<&'a PublicKey> {
        accepted.map_or_else(|| self.keys.verifying().collect(), |accepted| vec![&accepted.signer])
    }

    /// Nothing new begins under a list that has expired, or is older than one that was acted on ([KEY-3]); nor under keys that
    /// are not the root's, or under a root that has expired ([ROOT-2]).
    pub(crate) fn check_age(&self) -> Result<(), FaultKind> {
        let forgot = self.keys.seq() < self.mark;
        if forgot || self.keys.current(self.wall).is_err() {
            return Err(FaultKind::StaleKeys);
        }
        let expired = matches!(&self.anchor, Anchor::Root(root) if root.current(self.wall).is_err());
        if expired || self.contradicts() { Err(FaultKind::OtherRoot) } else { Ok(()) }
    }
}
