"""Merkle trees of RFC 6962 ([TREE-1]), by the recursive definitions of its section 2.1."""

from .primitives import sha256


def leaf(data):
    return sha256(b"\0" + data)


def node(left, right):
    return sha256(b"\1" + left + right)


def split(n):
    """The largest power of two smaller than n."""
    return 1 << (n - 1).bit_length() - 1


def root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(root(leaves[:k]), root(leaves[k:]))


def inclusion(leaves, index):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return inclusion(leaves[:k], index) + [root(leaves[k:])]
    return inclusion(leaves[k:], index - k) + [root(leaves[:k])]


def consistency(leaves, old):
    return [] if old in (0, len(leaves)) else _subproof(leaves, old, True)


def _subproof(leaves, old, complete):
    n = len(leaves)
    if old == n:
        return [] if complete else [root(leaves)]
    k = split(n)
    if old <= k:
        return _subproof(leaves[:k], old, complete) + [root(leaves[k:])]
    return _subproof(leaves[k:], old - k, False) + [root(leaves[:k])]


class Refused(Exception):
    pass


def verify_inclusion(expected, size, index, leaf_hash, proof):
    """The inverse of `inclusion`: takes the proof from its end."""

    def up(size, index, proof):
        if size == 1:
            if proof:
                raise Refused
            return leaf_hash
        if not proof:
            raise Refused
        k = split(size)
        if index < k:
            return node(up(k, index, proof[:-1]), proof[-1])
        return node(proof[-1], up(size - k, index - k, proof[:-1]))

    try:
        return index < size and up(size, index, proof) == expected
    except Refused:
        return False


def verify_consistency(old, old_root, new, new_root, proof):
    """The inverse of `consistency`. The empty tree is a prefix of every tree, without proof."""

    def up(old, new, complete, proof):
        if old == new:
            if complete:
                if proof:
                    raise Refused
                return old_root, old_root
            if len(proof) != 1:
                raise Refused
            return proof[0], proof[0]
        if not proof:
            raise Refused
        k = split(new)
        if old <= k:
            a, b = up(old, k, complete, proof[:-1])
            return a, node(b, proof[-1])
        a, b = up(old - k, new - k, False, proof[:-1])
        return node(proof[-1], a), node(proof[-1], b)

    if old == 0:
        return not proof and old_root == root([]) and (new > 0 or new_root == old_root)
    if old > new:
        return False
    try:
        return up(old, new, True, proof) == (old_root, new_root)
    except Refused:
        return False


def self_test():
    """The eight leaves of the reference implementation of Certificate Transparency."""
    data = "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
    leaves = [leaf(bytes.fromhex(d)) for d in data]
    assert root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    for n in range(1, 9):
        for i in range(n):
            assert verify_inclusion(root(leaves[:n]), n, i, leaves[i], inclusion(leaves[:n], i))
        for old in range(n + 1):
            proof = consistency(leaves[:n], old)
            assert verify_consistency(old, root(leaves[:old]), n, root(leaves[:n]), proof)
