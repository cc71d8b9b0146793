//! Every label of the protocol, in one table (PROTOCOL.md §2, [HASH-2]).
//!
//! A label separates one use of a hash, derivation or signature from all others. It carries the
//! protocol version, so a later version can never collide with this one.

/// A domain-separation label. Only the constants of this module exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(&'static str);

impl Label {
    /// The bytes that enter the hash.
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Label = Label(concat!("quorate/1/", $text));)*
        /// All labels, for the test that no two are equal.
        pub const ALL: &[Label] = &[$($name),*];
    };
}

labels! {
    /// Proof of possession at enrolment.
    ENROL = "enrol";
    /// A party's next key, signed by the key that it replaces.
    RENEWAL = "renewal";
    /// The same, signed by the next key itself.
    RENEWAL_POSSESSION = "renewal-possession";
    /// Request of a registered party for a transport certificate.
    CERTIFICATE_REQUEST = "certificate-request";
    /// What a party pins of a deployment: id, coordinator key, certificate authority.
    TRANSPORT_PIN = "transport-pin";
    /// Leaf of the registry.
    REGISTRY_ENTRY = "registry-entry";
    /// Signed head of the registry.
    HEAD = "head";
    /// Epoch record: its hash and its signature.
    EPOCH = "epoch";
    /// Commitment of a ceremony party to its part of the epoch seed.
    SEED_COMMIT = "seed-commit";
    /// Signature of a ceremony party over its commitment.
    SEED_COMMIT_SIGN = "seed-commit-sign";
    /// Signature of a ceremony party over its reveal.
    SEED_REVEAL_SIGN = "seed-reveal-sign";
    /// The epoch seed.
    SEED = "seed";
    /// Draw of the committee panel.
    DRAW_COMMITTEE = "draw-committee";
    /// Draw of the cohort.
    DRAW_COHORT = "draw-cohort";
    /// Body of a manifest (`mh`).
    MANIFEST = "manifest";
    /// Signature over a manifest.
    MANIFEST_SIGN = "manifest-sign";
    /// Signature of a member over its round key.
    ROUND_KEY_SIGN = "round-key-sign";
    /// Body of a roster (`rh`).
    ROSTER = "roster";
    /// Signature over a roster.
    ROSTER_SIGN = "roster-sign";
    /// Session id (`sid`).
    SESSION = "session";
    /// Stands for the hash of the vector in suite `direct`.
    DIRECT_VECTOR = "direct-vector";
    /// Body of a contribution header (`hdr`).
    HEADER = "header";
    /// Signature over a contribution header.
    HEADER_SIGN = "header-sign";
    /// HPKE info of a sealed share.
    SHARE_INFO = "share-info";
    /// Expansion of a member's seed into its share.
    SHARE_SEED = "share-seed";
    /// Challenge coefficients of the share check.
    CHALLENGE = "challenge";
    /// Leaf of a check batch.
    CHECK_ENTRY = "check-entry";
    /// Signature of a member over a check batch.
    CHECK_SIGN = "check-sign";
    /// Leaf of the set D.
    SET_LEAF = "set-leaf";
    /// Signature of the coordinator over the closed set.
    CLOSE_SIGN = "close-sign";
    /// Signature of a member over its lock.
    LOCK_SIGN = "lock-sign";
    /// Signature of a member over its answer.
    ANSWER_SIGN = "answer-sign";
    /// Hash of the decoded sums.
    RESULT = "result";
    /// Signature of the coordinator over a result.
    RESULT_SIGN = "result-sign";
    /// Signature of the coordinator over a contributor's being left out.
    LEFT_OUT_SIGN = "left-out-sign";
    /// Key of the mask matrix.
    MATRIX = "matrix";
    /// Hash of a model file.
    MODEL = "model";
    /// Digest by which a participant knows an update again.
    UPDATE = "update";
    /// Hash of a policy.
    POLICY = "policy";
    /// Hash of a policy of keys.
    KEY_POLICY = "key-policy";
    /// By how much the renewal of a key is moved.
    RENEWAL_JITTER = "renewal-jitter";
    /// Order in which parties renew their keys.
    RENEWAL_WAVE = "renewal-wave";
    /// Approval of an order of an operator about keys.
    KEY_ORDER_SIGN = "key-order-sign";
    /// List of ids of which a party lets a committee be named.
    NAMED = "named";
    /// List of ids of which a party lets a seed's ceremony be held.
    CEREMONY = "ceremony";
    /// Entry of the transcript chain.
    TRANSCRIPT = "transcript";
    /// Hash of a deployment's name and coordinator key.
    DEPLOYMENT = "deployment";
    /// Chained check value of a frame in a state file.
    LOG_FRAME = "log-frame";
    /// Check value of a mean that is kept until a model has learnt it.
    STORED_MEAN = "stored-mean";
    /// Identity key of a device, sealed where it is stored.
    STORED_KEY = "stored-key";
    /// Whole state of a device, sealed to be moved.
    STORED_DEVICE = "stored-device";
    /// Share of a collective key, sealed where it is stored.
    STORED_SHARE = "stored-share";
    /// Key and tokens of stateless resets.
    STATELESS_RESET = "stateless-reset";
    /// Signature of a root key over a trust root.
    TRUST_ROOT_SIGN = "trust-root-sign";
    /// Body of a list of the keys in force.
    KEY_LIST = "key-list";
    /// Signature of the active coordinator key over a list of keys.
    KEY_LIST_SIGN = "key-list-sign";
    /// Signature of the coordinator key before, over the list that names another.
    KEY_LIST_HANDOVER = "key-list-handover";
    /// Key of the chunks of an envelope.
    ENVELOPE_BODY = "envelope-body";
    /// Tag over the header of an envelope.
    ENVELOPE_HEADER = "envelope-header";
    /// What chunks and wraps of an envelope are bound to.
    ENVELOPE_BINDING = "envelope-binding";
    /// Id of an object in an envelope.
    ENVELOPE_OBJECT = "envelope-object";
    /// What a data key is wrapped for.
    WRAP_CONTEXT = "wrap-context";
    /// A data key wrapped by a key of this crate.
    DATA_KEY_WRAP = "data-key-wrap";
    /// The keys of the file provider, sealed under a passphrase.
    KEY_FILE = "key-file";
    /// The key that a shared escrow secret stands for.
    ESCROW_SECRET = "escrow-secret";
    /// A wrapping key, sealed under a shared escrow secret.
    ESCROW_KEY = "escrow-key";
    /// Key pair of a custodian or a recovery, sealed where it is kept.
    ESCROW_PAIR = "escrow-pair";
    /// Record of a split.
    ESCROW_RECORD = "escrow-record";
    /// A custodian's package.
    ESCROW_PACKAGE = "escrow-package";
    /// A recovery, and the signature of who approves it.
    ESCROW_APPROVE = "escrow-approve";
    /// A custodian's answer to a recovery.
    ESCROW_ANSWER = "escrow-answer";
    /// Record of a session that makes or renews a collective key: its hash and its signature.
    KEY_SESSION = "key-session";
    /// Signature of a holder over its key for a session.
    KEY_JOIN_SIGN = "key-join-sign";
    /// Id of a session: its record and every holder's key.
    KEY_SESSION_ID = "key-session-id";
    /// Signature of a holder over its commitment.
    KEY_COMMIT_SIGN = "key-commit-sign";
    /// List of all commitments of a session.
    KEY_COMMITS = "key-commits";
    /// Signature of a holder over the list for which it opens its commitment.
    KEY_REVEAL_SIGN = "key-reveal-sign";
    /// What a holder says about what it was dealt: its hash and its signature.
    KEY_CHECK_SIGN = "key-check-sign";
    /// Signature of a holder over its answer in the test of a key.
    KEY_TRY_SIGN = "key-try-sign";
    /// Outcome of the test of a key.
    KEY_TRIED = "key-tried";
    /// Record of a collective key: its hash.
    KEY_RECORD = "key-record";
    /// Signature of a holder over the record of a key.
    KEY_RECORD_SIGN = "key-record-sign";
    /// Signature of the coordinator that declares a session dead.
    KEY_DEAD_SIGN = "key-dead-sign";
    /// Signature of a holder over the secret of its key for a dead session.
    KEY_DISCLOSE_SIGN = "key-disclose-sign";
    /// Body of a contribution header under a collective key (`hdr`).
    SEALED_HEADER = "sealed-header";
    /// Signature over such a header.
    SEALED_HEADER_SIGN = "sealed-header-sign";
    /// Signature of a holder over its answer in an opening.
    OPENING_SIGN = "opening-sign";
    /// Signature of a holder over its statement about an opening that failed.
    STATEMENT_SIGN = "statement-sign";
    /// Public ring element of a session that makes a collective key.
    COLLECTIVE_POINT = "collective-point";
    /// A holder's commitment to its part of a collective key, or to another dealing.
    COLLECTIVE_PART = "collective-part";
    /// Hash over all parts of a collective key.
    COLLECTIVE_PARTS = "collective-parts";
    /// Expansion of a holder's seed into what it was dealt.
    COLLECTIVE_SEED = "collective-seed";
    /// Challenge of the check of a dealing.
    COLLECTIVE_CHALLENGE = "collective-challenge";
    /// What a key signs to show that it works, before it is in force.
    SELF_TEST = "self-test";
    /// Key of a pair of holders, for sharings of zero.
    COLLECTIVE_PAIR = "collective-pair";
    /// Id of a collective key.
    COLLECTIVE_KEY = "collective-key";
    /// Coins of the test ciphertext of a collective key.
    COLLECTIVE_TEST = "collective-test";
    /// An opening: key, generation, set, responders.
    COLLECTIVE_OPENING = "collective-opening";
    /// A pair's stream of a sharing of zero.
    COLLECTIVE_ZERO = "collective-zero";
    /// Public ring elements of the hash of a ciphertext.
    COLLECTIVE_HASH = "collective-hash";
    /// Generators of the commitment to a ciphertext.
    COLLECTIVE_GENERATOR = "collective-generator";
    /// Rows of the check of an opening that failed.
    COLLECTIVE_BLAME = "collective-blame";
    /// Randomness of the simulator; no real secret is ever derived under it.
    SIMULATION = "simulation";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    // [HASH-2]
    #[test]
    fn labels_are_distinct() {
        assert!(ALL.iter().all(|label| label.as_bytes().starts_with(b"quorate/1/")));
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }
}
