//! What stands above what: which key wraps or certifies which, and in which order to go through them.
//!
//! ```text
//! wrapping/store ──wraps──▶ data/checkpoint-17          above first when keys are made and activated,
//! coordinator/main ──certifies──▶ transport/p-3         below first when they are destroyed
//! ```
//!
//! Names never stand above each other in a circle. Once a name has stood above another it never comes to stand below
//! it, even after all keys concerned are gone: the order of a deployment's names is one order for its whole life.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::{Inventory, Rejected};
use crate::class::{KeyId, KeyName};
use crate::state::State;

impl Inventory {
    /// Whether `parent` can wrap or certify `child` from now on.
    pub(super) fn may_stand_above(&self, parent: &KeyId, child: &KeyId) -> Result<(), Rejected> {
        let state = self.key(parent).map(|key| key.state);
        if !matches!(state, Some(State::Pending | State::Active)) {
            return Err(Rejected::Parent { parent: parent.clone() });
        }
        // From the parent upwards: the child must not be met.
        let mut seen: BTreeSet<&KeyName> = BTreeSet::new();
        let mut next = vec![&parent.name];
        while let Some(name) = next.pop() {
            if *name == child.name {
                return Err(Rejected::Cycle);
            }
            if seen.insert(name) {
                next.extend(self.above.get(name).into_iter().flatten());
            }
        }
        Ok(())
    }

    pub(super) fn put_under(&mut self, child: &KeyId, parent: &KeyId) {
        self.children.entry(parent.clone()).or_default().insert(child.clone());
        self.above.entry(child.name.clone()).or_default().insert(parent.name.clone());
    }

    pub(super) fn take_from(&mut self, child: &KeyId, parent: &KeyId) {
        if let Some(children) = self.children.get_mut(parent) {
            children.remove(child);
            if children.is_empty() {
                self.children.remove(parent);
            }
        }
    }

    /// All names, those above before those below.
    #[must_use]
    pub fn order(&self) -> Vec<&KeyName> {
        // Without a circle by construction; the order by name would do for what is left of one.
        topological(self.lines.keys(), |name| self.above.get(*name).into_iter().flatten())
            .unwrap_or_else(|_| self.lines.keys().collect())
    }
}

/// The nodes in an order in which each comes after all that are above it; ties by the order of the nodes.
///
/// # Errors
/// If some are above each other in a circle: those, and what is below them.
pub fn topological<N: Ord + Copy, A: Iterator<Item = N>>(
    nodes: impl Iterator<Item = N>,
    above: impl Fn(&N) -> A,
) -> Result<Vec<N>, Circle<N>> {
    let mut waits_for: BTreeMap<N, usize> = nodes.map(|node| (node, 0)).collect();
    let mut below: BTreeMap<N, Vec<N>> = BTreeMap::new();
    let all: Vec<N> = waits_for.keys().copied().collect();
    for node in &all {
        for parent in above(node).filter(|parent| waits_for.contains_key(parent)).collect::<BTreeSet<N>>() {
            below.entry(parent).or_default().push(*node);
            if let Some(count) = waits_for.get_mut(node) {
                *count += 1;
            }
        }
    }
    let mut ready: BTreeSet<N> =
        waits_for.iter().filter(|(_, count)| **count == 0).map(|(n, _)| *n).collect();
    let mut order = Vec::with_capacity(all.len());
    while let Some(node) = ready.pop_first() {
        waits_for.remove(&node);
        order.push(node);
        for child in below.get(&node).into_iter().flatten() {
            if let Some(count) = waits_for.get_mut(child) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(*child);
                }
            }
        }
    }
    if waits_for.is_empty() { Ok(order) } else { Err(Circle(waits_for.into_keys().collect())) }
}

/// Nodes that are above each other in a circle, and those below them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} of them stand above each other in a circle", .0.len())]
pub struct Circle<N>(pub Vec<N>);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::topological;

    fn edges() -> impl Strategy<Value = BTreeSet<(u8, u8)>> {
        proptest::collection::btree_set((0_u8..12, 0_u8..12), 0..40)
    }

    fn sorted(edges: &BTreeSet<(u8, u8)>) -> Option<Vec<u8>> {
        let above = |node: &u8| {
            let node = *node;
            edges.iter().filter(move |(_, child)| *child == node).map(|(parent, _)| *parent)
        };
        topological(0..12, above).ok()
    }

    proptest! {
        #[test]
        fn parents_come_first(edges in edges()) {
            // Keeping only edges from lower to higher numbers leaves no circle.
            let acyclic: BTreeSet<_> = edges.into_iter().filter(|(parent, child)| parent < child).collect();
            let order = sorted(&acyclic).expect("no circle");
            prop_assert_eq!(order.len(), 12);
            let place = |node: u8| order.iter().position(|other| *other == node);
            for (parent, child) in acyclic {
                prop_assert!(place(parent) < place(child));
            }
        }

        #[test]
        fn circles_are_refused(edges in edges(), at in 0_u8..11) {
            let mut edges = edges;
            edges.extend([(at, at + 1), (at + 1, at)]);
            prop_assert_eq!(sorted(&edges), None);
        }
    }
}
