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
        _ => return None,
    })
}
