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

use crate::hash::{Digest, sha256};

/// No proof about a tree of up to 2⁶⁴−1 leaves is longer (a consistency proof has one hash more than a path).
pub const MAX_PROOF: usize = 65;

/// Hash of a leaf ([TREE-1]).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    sha256(&[&[0], data])
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

    /// Root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root_at(self.len()).expect("len leaves are there")
    }

    /// Root over the first `size` leaves.
    #[must_use]
    pub fn root_at(&self, size: usize) -> Option<Digest> {
        if size == 0 { Some(empty_root()) } else { self.range(0, size) }
    }

    /// Path of leaf `index` in the tree of the first `size` leaves.
    #[must_use]
    pub fn inclusion(&self, index: usize, size: usize) -> Option<Vec<Digest>> {
        if index >= size || size > self.len() {
            return None;
        }
        let (mut start, mut len, mut proof) = (0, size, Vec::new());
        while len > 1 {
            let k = split(len);
            if index - start < k {
                proof.push(self.range(start + k, len - k)?);
                len = k;
            } else {
                proof.push(self.range(start, k)?);
                start += k;
                len -= k;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// Proof that the first `old` leaves are a prefix of the first `new` ones.
    #[must_use]
    pub fn consistency(&self, old: usize, new: usize) -> Option<Vec<Digest>> {
        if old > new || new > self.len() {
            return None;
        }
        if old == 0 || old == new {
            return Some(Vec::new());
        }
        let (mut start, mut len, mut proof) = (0, new, Vec::new());
        while old - start != len {
            let k = split(len);
            if old - start <= k {
                proof.push(self.range(start + k, len - k)?);
                len = k;
            } else {
                proof.push(self.range(start, k)?);
                start += k;
                len -= k;
            }
        }
        // Here the old tree ends with the subtree (start, len); if it is the whole old tree, its root is known.
        if start != 0 {
            proof.push(self.range(start, len)?);
        }
        proof.reverse();
        Some(proof)
    }

    /// Root over `len` ≥ 1 leaves from `start`, a multiple of the largest power of two ≤ `len`.
    fn range(&self, start: usize, len: usize) -> Option<Digest> {
        if len.is_power_of_two() {
            let height = len.trailing_zeros();
            return self.levels.get(height as usize)?.get(start >> height).copied();
        }
        let k = split(len);
        Some(node_hash(&self.range(start, k)?, &self.range(start + k, len - k)?))
    }
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
mod tests {
    use super::*;

    /// Leaves and roots 1 … 8 of the reference tests of Certificate Transparency.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves(n: usize) -> Vec<Digest> {
        (0..n).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    fn hex(proof: &[Digest]) -> Vec<String> {
        proof.iter().map(Digest::to_hex).collect()
    }

    #[test]
    fn tree_1_reference_roots() {
        let hashes: Vec<_> = LEAVES.iter().map(|data| leaf_hash(data)).collect();
        let log: MerkleLog = hashes.iter().copied().collect();
        for (n, expected) in ROOTS.iter().enumerate() {
            assert_eq!(root(&hashes[..n]).to_hex(), *expected);
            assert_eq!(log.root_at(n).unwrap().to_hex(), *expected);
        }
        assert_eq!(log.root_at(9), None);
    }

    #[test]
    fn tree_1_reference_proofs() {
        let log: MerkleLog = LEAVES.iter().map(|data| leaf_hash(data)).collect();
        let path = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(hex(&log.inclusion(0, 8).unwrap()), path);
        let extends = [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(hex(&log.consistency(6, 8).unwrap()), extends);
    }

    #[test]
    fn tree_1_every_leaf_of_every_tree_is_proved_at_its_place_only() {
        let all = leaves(70);
        let log: MerkleLog = all.iter().copied().collect();
        for size in 0..=70_usize {
            let root = root(&all[..size]);
            assert_eq!(log.root_at(size), Some(root));
            assert_eq!(log.inclusion(size, size), None);
            for index in 0..size {
                let proof = log.inclusion(index, size).unwrap();
                assert_eq!(inclusion_proof(&all[..size], index).unwrap(), proof);
                let check = |s: usize, i: usize, leaf: &Digest| {
                    verify_inclusion(&root, s as u64, i as u64, leaf, &proof)
                };
                assert!(check(size, index, &all[index]));
                assert!((0..=size).all(|other| other == index || !check(size, other, &all[index])));
                assert!(!check(size, index, &all[(index + 1) % 70]));
            }
        }
    }

    #[test]
    fn tree_1_every_pair_of_sizes_is_consistent() {
        let all = leaves(71);
        let log: MerkleLog = all.iter().copied().collect();
        for new in 0..=71 {
            for old in 0..=new {
                let proof = log.consistency(old, new).unwrap();
                let (a, b) = (root(&all[..old]), root(&all[..new]));
                assert!(verify_consistency(old as u64, &a, new as u64, &b, &proof), "{old} {new}");
                assert!(proof.len() <= MAX_PROOF);
                if old < new {
                    assert!(!verify_consistency(new as u64, &b, old as u64, &a, &proof));
                    let doubled = 2 * new as u64 + 1; // needs a longer proof than this one
                    assert!(old == 0 || !verify_consistency(old as u64, &a, doubled, &b, &proof));
                    assert_eq!(log.consistency(new, old), None);
                }
            }
        }
    }

    #[test]
    fn tree_1_mutated_proofs_are_refused() {
        let all = leaves(40);
        let log: MerkleLog = all.iter().copied().collect();
        for (old, new) in (1..=40).flat_map(|new| (1..new).map(move |old| (old, new))) {
            let proof = log.consistency(old, new).unwrap();
            let (a, b) = (root(&all[..old]), root(&all[..new]));
            let ok =
                |p: &[Digest], a: &Digest, b: &Digest| verify_consistency(old as u64, a, new as u64, b, p);
            assert!(mutations(&proof).iter().all(|bad| !ok(bad, &a, &b)));
            assert!(!ok(&proof, &b, &b) && !ok(&proof, &a, &a) && !ok(&proof, &Digest::ZERO, &b));
            let path = log.inclusion(old, new).unwrap();
            let ok = |p: &[Digest]| verify_inclusion(&b, new as u64, old as u64, &all[old], p);
            assert!(mutations(&path).iter().all(|bad| !ok(bad)));
        }
    }

    #[test]
    fn tree_1_a_rewritten_log_is_not_an_extension() {
        let honest: MerkleLog = leaves(30).into_iter().collect();
        let mut forked_leaves = leaves(50);
        forked_leaves[11] = leaf_hash(b"other");
        let forked: MerkleLog = forked_leaves.into_iter().collect();
        let proof = forked.consistency(30, 50).unwrap();
        assert!(!verify_consistency(30, &honest.root(), 50, &forked.root(), &proof));
    }

    #[test]
    fn extreme_sizes_do_not_panic() {
        let d = Digest::ZERO;
        for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1, 0] {
            for index in [0, 1, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX] {
                for len in [0, 1, 2, 63, 64, 65, 66] {
                    assert!(!verify_inclusion(&d, size, index, &leaf_hash(b""), &vec![d; len]));
                    let odd = leaf_hash(b"");
                    assert!(!verify_consistency(index, &odd, size, &d, &vec![d; len]));
                }
            }
        }
    }

    /// Every hash changed, left out, doubled or swapped with the next; one appended, one put in front.
    fn mutations(proof: &[Digest]) -> Vec<Vec<Digest>> {
        let mut all = vec![[proof, &[Digest::ZERO]].concat(), [&[Digest::ZERO], proof].concat()];
        for i in 0..proof.len() {
            let mut changed = proof.to_vec();
            let mut bytes = *changed[i].as_bytes();
            bytes[i % 32] ^= 1;
            changed[i] = Digest::from_bytes(bytes);
            all.push(changed);
            let mut shorter = proof.to_vec();
            shorter.remove(i);
            all.push(shorter);
            let mut longer = proof.to_vec();
            longer.insert(i, proof[i]);
            all.push(longer);
            if i + 1 < proof.len() {
                let mut swapped = proof.to_vec();
                swapped.swap(i, i + 1);
                all.push(swapped);
            }
        }
        all
    }
}
