//! Largest body of each message type, checked before anything is parsed ([WIRE-1]).
//!
//! postcard reserves at most what the input can still hold, so these limits bound memory too. The
//! figures leave room for m = 128, n = 10,000 and X-Wing keys, not more.

use quorate_keys::key_list::MAX_KEY_LIST;

/// Most bytes of a body of this type; `None` for types nobody defined.
#[must_use]
pub const fn limit(kind: u8) -> Option<usize> {
    const KIB: usize = 1024;
    Some(match kind {
        // Call: a record with up to 32 parties and 1,024 named members, two proofs.
        1 => 64 * KIB,
        2 | 4 => KIB,
        3 => 8 * KIB,
        // Keys: one list of at most 64 KiB, and its length.
        5 => MAX_KEY_LIST + 8,
        6 => 8,
        // Announce: manifest, epoch evidence with up to 32 parties, proofs.
        7 => 128 * KIB,
        8 => 2 * KIB,
        // Roster: 128 × (key, X-Wing round key, signature, 32-step proof).
        9 => 512 * KIB,
        // Contribution: 128 sealed shares of up to 36 kB (direct, ρ = 1).
        10 => 8 * KIB * KIB,
        // Relay: one batch.
        11 => 8 * KIB * KIB,
        12 => 1024 * KIB,
        13 => 512 * KIB,
        14 => KIB,
        15 => 32 * KIB,
        16 => 64 * KIB,
        17 => 4 * KIB,
        18 => 16,
        19 => 32,
        // KeyCall: a record with up to 128 holders and 128 dealers, two proofs, the evidence of the key in force.
        20 => 352 * KIB,
        21 | 23 | 31 | 33 | 34 => KIB,
        // KeyJoins: 128 × (key, identity, signature, 32-step proof).
        22 => 256 * KIB,
        24 => 32 * KIB,
        // PartReveal: b_u and 128 dealings of up to 143 kB.
        25 => 18 * KIB * KIB,
        26 => 320 * KIB,
        // PartChecks: 128 × 4,320 bytes.
        27 => 640 * KIB,
        28 => KIB,
        29 => 64 * KIB,
        // KeyTried: sets that cover 128 holders once, the last one filled up to r.
        30 => 13 * KIB * KIB,
        32 => 32 * KIB,
        // SealedClose: 10,000 × (header, signature, identity, 14-step proof).
        35 => 10 * KIB * KIB,
        // OpenAsk: 24,576 residues of 59 bits, 6144 carries, 128 locks.
        36 => 256 * KIB,
        37 | 39 => 64 * KIB,
        38 => 7 * KIB * KIB,
        // SealedContribution: c₀ and c₁, 187,392 bytes, and a header.
        40 => 184 * KIB,
        // KeyNotice: a record, b, 128 × (identity, 32-step proof, signature).
        41 => 320 * KIB,
        _ => return None,
    })
}
