//! Merkle trees of RFC 6962 (PROTOCOL.md §2, [TREE-1]).
//!
//! Leaf `SHA-256(0x00 ‖ data)`, node `SHA-256(0x01 ‖ left ‖ right)`, empty tree `SHA-256("")`; a tree of
//! n leaves splits at the largest power of two below n:
//!
//! ```text
//!            root of 7                 levels[2]  h0123
//!           /         \                levels[1]  h01   h23   h45
//!        h0123        h456             levels[0]  h0 h1 h2 h3 h4 h5 h6
//!        /   \        /  \
//!      h01   h23    h45   h6           the log keeps the complete subtrees only
//! ```
//!
//! The registry, the share tree of a contribution and the set D are such trees. [`MerkleLog`] answers any
//! proof in O(log² n) hashes; the free functions on a slice are the definition, written out, for small trees.
//!
//! # Security
//!
//! The verifiers take proofs from peers and stop after at most 64 hashes, however long the proof; decoders bound
//! its length by [`MAX_PROOF`]. A leaf and a node can't be confused (0x00, 0x01), as long as
//! leaves are made with [`leaf_hash`]. A proof holds for one index, given the size: a root alone does not fix the
//! size of its tree, so the size must come from where the root comes from (a signed head, a signed close).

use crate::hash::{Digest, sha256, sha256_of};

/// No proof about a tree of up to 2⁶⁴−1 leaves is longer (a consistency proof has one hash more than a path).
pub const MAX_PROOF: usize = 65;

/// Hash of a leaf ([TREE-1]).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    leaf_hash_of(&[data])
}

/// Hash of a leaf whose data is these parts one after the other ([TREE-1]).
#[must_use]
pub fn leaf_hash_of(data: &[&[u8]]) -> Digest {
    const LEAF: &[u8] = &[0];
    sha256_of(std::iter::once(LEAF).chain(data.iter().copied()))
}

/// Root over leaf hashes ([TREE-1]).
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// Path from leaf `index` to the root over `leaves`, lowest sibling first; `None` if there is no such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut leaves, mut index, mut proof) = (leaves, index, Vec::new());
    while leaves.len() > 1 {
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        if index < k {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            leaves = right;
            index -= k;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Whether `proof` shows `leaf` at `index` of the tree of `size` leaves with this root ([TREE-1]).
#[must_use]
pub fn verify_inclusion(root: &Digest, size: u64, index: u64, leaf: &Digest, proof: &[Digest]) -> bool {
    if index >= size {
        return false;
    }
    let mut walk = Walk { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        match walk.step() {
            None => return false,
            Some(Side::Left) => hash = node_hash(sibling, &hash),
            Some(Side::Right) => hash = node_hash(&hash, sibling),
        }
    }
    walk.last == 0 && hash == *root
}

/// Whether `proof` shows that the tree (`new_size`, `new_root`) extends (`old_size`, `old_root`) ([TREE-1]).
///
/// Equal sizes need equal roots and an empty proof. The empty tree is a prefix of every tree, by an empty proof.
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> bool {
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root() && (new_size > 0 || new_root == old_root);
    }
    if old_size >= new_size {
        return old_size == new_size && proof.is_empty() && old_root == new_root;
    }
    // A complete old tree is a node of the new one; its root is known and not sent.
    let (start, rest) = match proof.split_first() {
        None => return false,
        Some(_) if old_size.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
    };
    let mut walk = Walk { node: old_size - 1, last: new_size - 1 };
    walk.rise(walk.node.trailing_ones());
    let (mut old, mut new) = (*start, *start);
    for sibling in rest {
        match walk.step() {
            None => return false,
            Some(Side::Left) => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Some(Side::Right) => new = node_hash(&new, sibling),
        }
    }
    walk.last == 0 && old == *old_root && new == *new_root
}

/// An append-only tree that keeps the hashes of all complete subtrees ([TREE-1]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MerkleLog {
    /// `levels[h][i]` is the root over leaves `i·2ʰ … (i+1)·2ʰ−1`.
    levels: Vec<Vec<Digest>>,
}

impl MerkleLog {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf hash and returns its index.
    pub fn push(&mut self, leaf: Digest) -> usize {
        let mut hash = leaf;
        for level in &mut self.levels {
            level.push(hash);
            let [.., left, right] = level.as_slice() else { return self.len() - 1 };
            if level.len() % 2 == 1 {
                return self.len() - 1;
            }
            hash = node_hash(left, right);
        }
        self.levels.push(vec![hash]);
        self.len() - 1
    }

    /// Number of leaves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// Whether there is no leaf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The leaf hash at `index`.
    #[must_use]
    pub fn leaf(&self, index: usize) -> Option<Digest> {
        self.levels.first()?.get(index).copied()
    }

    /// Root over the leaves `index·2^height … (index+1)·2^height − 1`, if all are there.
    #[must_use]
    pub fn node(&self, height: u32, index: usize) -> Option<Digest> {
        self.levels.get(height as usize)?.get(index).copied()
    }

    /// Root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root_at(self.len()).expect("len leaves are there")
    }

    /// Root over the first `size` leaves.
    #[must_use]
    pub fn root_at(&self, size: usize) -> Option<Digest> {
        root_of(&mut self.nodes(), size)
    }

    /// Path of leaf `index` in the tree of the first `size` leaves.
    #[must_use]
    pub fn inclusion(&self, index: usize, size: usize) -> Option<Vec<Digest>> {
        if size > self.len() { None } else { inclusion_of(&mut self.nodes(), index, size) }
    }

    /// Proof that the first `old` leaves are a prefix of the first `new` ones.
    #[must_use]
    pub fn consistency(&self, old: usize, new: usize) -> Option<Vec<Digest>> {
        if new > self.len() { None } else { consistency_of(&mut self.nodes(), old, new) }
    }

    fn nodes(&self) -> impl FnMut(u32, usize) -> Option<Digest> {
        |height, index| self.node(height, index)
    }
}

/// Root over the first `size` leaves of a tree that is kept elsewhere: `nodes` gives the root over the leaves
/// `index·2^height … (index+1)·2^height − 1` for height and index.
pub fn root_of(nodes: &mut impl FnMut(u32, usize) -> Option<Digest>, size: usize) -> Option<Digest> {
    if size == 0 { Some(empty_root()) } else { range(nodes, 0, size) }
}

/// As [`MerkleLog::inclusion`], of a tree that is kept elsewhere ([`root_of`]).
pub fn inclusion_of(
    nodes: &mut impl FnMut(u32, usize) -> Option<Digest>,
    index: usize,
    size: usize,
) -> Option<Vec<Digest>> {
    if index >= size {
        return None;
    }
    let (mut start, mut len, mut proof) = (0, size, Vec::new());
    while len > 1 {
        let k = split(len);
        if index - start < k {
            proof.push(range(nodes, start + k, len - k)?);
            len = k;
        } else {
            proof.push(range(nodes, start, k)?);
            start += k;
            len -= k;
        }
    }
    proof.reverse();
    Some(proof)
}

/// As [`MerkleLog::consistency`], of a tree that is kept elsewhere ([`root_of`]).
pub fn consistency_of(
    nodes: &mut impl FnMut(u32, usize) -> Option<Digest>,
    old: usize,
    new: usize,
) -> Option<Vec<Digest>> {
    if old > new {
        return None;
    }
    if old == 0 || old == new {
        return Some(Vec::new());
    }
    let (mut start, mut len, mut proof) = (0, new, Vec::new());
    while old - start != len {
        let k = split(len);
        if old - start <= k {
            proof.push(range(nodes, start + k, len - k)?);
            len = k;
        } else {
            proof.push(range(nodes, start, k)?);
            start += k;
            len -= k;
        }
    }
    // Here the old tree ends with the subtree (start, len); if it is the whole old tree, its root is known.
    if start != 0 {
        proof.push(range(nodes, start, len)?);
    }
    proof.reverse();
    Some(proof)
}

/// Root over `len` ≥ 1 leaves from `start`, a multiple of the largest power of two ≤ `len`.
fn range(nodes: &mut impl FnMut(u32, usize) -> Option<Digest>, start: usize, len: usize) -> Option<Digest> {
    if len.is_power_of_two() {
        let height = len.trailing_zeros();
        return nodes(height, start >> height);
    }
    let k = split(len);
    let left = range(nodes, start, k)?;
    Some(node_hash(&left, &range(nodes, start + k, len - k)?))
}

impl FromIterator<Digest> for MerkleLog {
    fn from_iter<T: IntoIterator<Item = Digest>>(leaves: T) -> Self {
        let mut log = Self::new();
        for leaf in leaves {
            log.push(leaf);
        }
        log
    }
}

/// On which side of the path the next sibling of a proof stands.
enum Side {
    Left,
    Right,
}

/// The way from a node up to the root: its number on its level, and the number of the level's last node.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    /// The side of the next sibling, one or more levels up; `None` at the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node % 2 == 1 || self.node == self.last {
            // A last node without a left neighbour rises unhashed until it is a right child.
            self.rise(self.node.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.rise(1);
        Some(side)
    }

    fn rise(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }
}

/// The largest power of two below `len` ≥ 2.
fn split(len: usize) -> usize {
    1 << (len - 1).ilog2()
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1], left.as_bytes(), right.as_bytes()])
}

fn empty_root() -> Digest {
    sha256(&[])
}

#[cfg(test)]
mod tests;
