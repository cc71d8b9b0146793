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
            let check =
                |s: usize, i: usize, leaf: &Digest| verify_inclusion(&root, s as u64, i as u64, leaf, &proof);
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
        let ok = |p: &[Digest], a: &Digest, b: &Digest| verify_consistency(old as u64, a, new as u64, b, p);
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
