//! Errors by whose fault they are: bytes, a peer, the round, the caller.
//!
//! No error carries text from a peer, an update, a share or a key: only kinds, counts and ids.

use quorate_keys::PartyId;
use thiserror::Error;

/// The bytes are no message. Costs the message, nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Shorter than a frame header.
    #[error("the frame is shorter than its header")]
    Short,
    /// Another protocol version.
    #[error("unknown protocol version {0}")]
    Version(u8),
    /// A message type nobody defined.
    #[error("unknown message type {0}")]
    UnknownType(u8),
    /// A message type that does not belong here.
    #[error("message type {0} is not accepted here")]
    Unexpected(u8),
    /// Longer than the limit of its type.
    #[error("{got} bytes, the limit of this message type is {limit}")]
    TooLong {
        /// Bytes received.
        got: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The body does not parse.
    #[error("the body does not parse")]
    Body,
    /// The body parses but is not the one encoding of its value, or bytes are left over.
    #[error("the encoding is not canonical")]
    NonCanonical,
}

/// Who is to blame for a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Culprit {
    /// The coordinator.
    Coordinator,
    /// A registered party.
    Party(PartyId),
    /// Whoever delivered the bytes: nothing in them is authenticated.
    Deliverer,
}

/// A peer broke a rule. Costs that peer's message; the machine has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} [{}]", .kind.rule())]
pub struct Fault {
    /// Who is to blame.
    pub culprit: Culprit,
    /// What was wrong.
    pub kind: FaultKind,
}

impl Fault {
    /// The coordinator's fault.
    #[must_use]
    pub const fn coordinator(kind: FaultKind) -> Self {
        Self { culprit: Culprit::Coordinator, kind }
    }

    /// Nobody in particular: unauthenticated bytes.
    #[must_use]
    pub const fn deliverer(kind: FaultKind) -> Self {
        Self { culprit: Culprit::Deliverer, kind }
    }

    /// A registered party's fault.
    #[must_use]
    pub const fn party(id: PartyId, kind: FaultKind) -> Self {
        Self { culprit: Culprit::Party(id), kind }
    }
}

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $name:ident $rule:literal $text:literal,)*) => {
        /// What a peer did wrong, each with the rule of PROTOCOL.md it broke.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
        pub enum FaultKind {
            /// The bytes do not decode.
            #[error("undecodable message: {0}")]
            Decode(DecodeError),
            /// The manifest is weaker than this party's own policy.
            #[error("the manifest is below this party's policy: {0}")]
            Policy(PolicyBreach),
            $($(#[$doc])* #[error($text)] $name,)*
        }

        impl FaultKind {
            /// The rule of PROTOCOL.md.
            #[must_use]
            pub const fn rule(&self) -> &'static str {
                match self {
                    Self::Decode(_) => "WIRE-1",
                    Self::Policy(_) => "POL-1",
                    $(Self::$name => $rule,)*
                }
            }
        }
    };
}

fault_kinds! {
    /// A signature does not verify.
    BadSignature "SIG-1" "a signature does not verify",
    /// Another deployment's message.
    WrongDeployment "ANN-1" "the message belongs to another deployment",
    /// A round at or below one already acted on, or outside the epoch.
    StaleRound "ANN-1" "the round was already acted on, or lies outside the epoch",
    /// A second manifest for one round.
    SecondManifest "ANN-1" "a second manifest for this round; the first stays in force",
    /// The registry head does not extend, or is not a prefix of, the last one seen.
    InconsistentHead "REG-3" "the registry head contradicts the last head seen",
    /// The epoch record or its seed evidence does not check.
    BadEpoch "EPOCH-1" "the epoch record or its signature does not check",
    /// The ceremony behind the seed is incomplete or contradicts its commitments.
    BadSeed "DRAW-3" "the seed does not follow from a complete ceremony",
    /// The epoch record does not name this party, or the message not the party that sent it.
    NotNamed "EPOCH-1" "the epoch record does not name this party",
    /// An attempt at a seed that this party took part in, or an earlier one, or an epoch that is over.
    StaleCeremony "DRAW-3" "this party took part in that ceremony or a later one",
    /// A message of a ceremony for another record.
    WrongCeremony "DRAW-3" "the message belongs to another ceremony",
    /// A second, different commitment in one ceremony.
    SecondCommitment "DRAW-3" "a second commitment of this party",
    /// This party, or a party of the roster, is not eligible.
    NotEligible "DRAW-1" "a party is not eligible for this role in this round",
    /// An id that the fixed head does not contain.
    NotRegistered "DRAW-2" "an id is not under the epoch's registry head",
    /// The manifest contradicts itself or cannot be computed with.
    BadManifest "ANN-1" "the manifest's parameters are not usable",
    /// The model hash is not the one of the model received.
    WrongModel "MASK-2" "the model's hash is not the manifest's",
    /// Not exactly m distinct members with distinct keys, or not in draw order.
    BadRoster "CONV-1" "the roster is not m distinct eligible members in draw order",
    /// A second roster or round key for one round.
    SecondRoster "ROST-1" "a second roster for this round",
    /// A second, different round key of one member.
    SecondRoundKey "ROST-1" "a second round key of this member",
    /// A second, different header of one sender.
    SecondHeader "ROST-1" "a second header of this sender",
    /// A message of another session.
    WrongSession "ROST-1" "the message belongs to another session",
    /// A message that the present stage does not take.
    OutOfTurn "ANN-1" "the present stage takes no such message",
    /// Too late.
    Late "LATE-1" "the message came after its deadline",
    /// The vector's length or hash is not what header and manifest say.
    WrongVector "FOLD-1" "the vector's length or hash is not the header's",
    /// Wrong number or size of sealed shares, or a share root that does not match.
    BadShares "SHARE-2" "the sealed shares do not match the header",
    /// A relayed share whose path does not lead to the header's root.
    BadPath "SHARE-2" "a relayed share's Merkle path does not match its header",
    /// A check batch with wrong sizes, unknown senders or headers, or repeated entries.
    BadBatch "CHK-1" "a check batch does not match what was relayed",
    /// The set's leaves are out of order, unknown, foreign or not held.
    BadSet "OPEN-2" "the closed set is out of order, unknown or not held here",
    /// The set is smaller than the minimum or larger than the maximum.
    CohortSize "OPEN-2" "the closed set is smaller than n_min or larger than n_max",
    /// The set is smaller than this party's own fraction of the cohort width.
    CohortFraction "OPEN-4" "the closed set is a smaller part of the cohort than this party's policy asks",
    /// A second set in one round.
    SecondSet "OPEN-1" "a second set in one round",
    /// Fewer than Q locks, repeated members, or locks on another triple.
    NotLocked "OPEN-1" "fewer than Q valid locks on one triple",
    /// An answer of wrong length or with elements out of range.
    BadAnswer "RS-1" "an answer has the wrong length or an element out of range",
    /// A second answer.
    SecondAnswer "OPEN-1" "a second answer of this member",
    /// A sender that is not a member of the roster.
    NotMember "CONV-1" "the sender is not on the roster",
    /// This party crashed in this round, or has no bytes to repeat.
    Silent "OPEN-3" "this party stays silent in this round",
    /// Result that contradicts the contributor's own knowledge.
    BadResult "RES-1" "the result does not show this contribution's place",
    /// A list of keys that does not follow from the one known.
    BadKeys "KEY-1" "the list of keys does not follow from the one known",
    /// A manifest under another list of keys.
    OtherKeys "KEY-2" "the manifest names another list of keys than the newest known",
    /// The list of keys known has expired.
    StaleKeys "KEY-3" "the list of keys known has expired: nothing begins before a newer one comes",
    /// The keys known do not come through the one that the trust root names, or the root has expired.
    OtherRoot "ROOT-2" "the coordinator's keys are not those of the trust root, or the root has expired",
    /// A session for a key that its coordinator did not sign, that cannot be held, or below this holder's own floors.
    BadKeySession "CKG-1" "the session for a collective key is not usable, not signed or below this holder's floors",
    /// A session this holder took part in, or an earlier one.
    StaleKeySession "CKG-1" "this holder took part in that session or a later one",
    /// The list of holders, of their keys or of their commitments is incomplete, out of order or not theirs.
    BadHolders "CKG-1" "the list of holders or of their commitments is not complete and theirs",
    /// A part that does not open its commitment.
    BadPart "CKG-2" "a part does not open its commitment",
    /// A second, different message of one holder in one phase.
    SecondPart "CKG-2" "a second, different message of this holder in this session",
    /// Check values or complaints that are none.
    BadChecks "CKG-4" "what a holder says about its dealings has the wrong form",
    /// A test that does not cover every holder, or does not open.
    BadTest "CKG-5" "the test of the key is incomplete or does not open",
    /// A record of a key that not all holders signed, or that contradicts what this party saw.
    BadKeyRecord "CKG-6" "the record of the key lacks a signature or contradicts what was seen",
    /// The session is dead, or this holder disclosed its key, or signed.
    DeadSession "CKG-7" "the session is dead, or cannot die any more",
    /// An opening above the caps of the key, or of a set that this holder has not locked.
    OpeningSpent "OPEN-5" "the caps on openings of this key or set are reached",
    /// Commitments that do not add up to what is to be opened.
    WrongSum "OPEN-6" "the commitments of the set do not add up to what is to be opened",
    /// An answer for another key, generation or set of responders.
    WrongOpening "COPEN-2" "the message is for another key, generation or set of responders",
    /// Wrong proof of possession, token used or unknown, key known.
    BadEnrolment "REG-2" "enrolment refused: token, key or proof of possession",
}

/// One axis of [POL-1] on which a manifest is weaker than a party's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "each variant's message is its documentation")]
pub enum PolicyBreach {
    #[error("mode plain is not allowed")]
    Mode,
    #[error("the suite is not allowed")]
    Suite,
    #[error("the vector is longer than allowed")]
    Dimension,
    #[error("c is below what this committee and width call for")]
    Corrupt,
    #[error("r − ρ is below max(c, 1)")]
    Privacy,
    #[error("r is above m − c")]
    Threshold,
    #[error("Q is not ⌊(m+c)/2⌋+1")]
    Locks,
    #[error("the panel or cohort width is outside the policy")]
    Width,
    #[error("T_max or the number of restarts is above the policy's cap")]
    EpochLength,
    #[error("n_min is below f + k_min")]
    MinimumCohort,
    #[error("f is below the bound on corrupt ids for this cohort width")]
    CorruptCohort,
    #[error("n_max is above the policy's cap")]
    MaximumCohort,
    #[error("fewer check polynomials than 128 bits of soundness take")]
    Checks,
    #[error("key_life is above the policy's cap")]
    KeyLife,
    #[error("a_min or e is below what direct sharing asks")]
    Answers,
    #[error("the minimum fraction of the cohort is below the policy's")]
    Fraction,
    #[error("the committee's source is not allowed")]
    Source,
    #[error("the seed's ceremony was not held by whom the policy asks")]
    Ceremony,
    #[error(
        "mode homomorphic is not allowed: it is safe only if coordinator and participants do not collude"
    )]
    Unproven,
    #[error(
        "the caps on openings, sets of responders or blames of the collective key are above the policy's"
    )]
    KeyCaps,
}

/// The round cannot succeed any more. Final: a round never restarts under the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Abort {
    /// Fewer than m eligible members sent round keys.
    #[error("only {got} of {need} committee members came")]
    CommitteeTooSmall {
        /// Members that came.
        got: usize,
        /// Members needed.
        need: usize,
    },
    /// Fewer contributions than n_min survive.
    #[error("only {got} of at least {need} contributions survive")]
    CohortTooSmall {
        /// Contributions left.
        got: usize,
        /// n_min.
        need: usize,
    },
    /// Fewer than max(r, Q, a_min) members hold all of D.
    #[error("only {got} of {need} members hold the whole set")]
    TooFewHolders {
        /// Members that hold the set.
        got: usize,
        /// Members needed.
        need: usize,
    },
    /// Fewer than Q locks at the deadline.
    #[error("only {got} of {need} locks came")]
    TooFewLocks {
        /// Locks received.
        got: usize,
        /// Q.
        need: usize,
    },
    /// Fewer than r answers at the deadline.
    #[error("only {got} of {need} answers came")]
    TooFewAnswers {
        /// Answers received.
        got: usize,
        /// r or a_min.
        need: usize,
    },
    /// More wrong answers than can be told apart.
    #[error("more wrong answers than can be corrected; nobody is named")]
    WrongAnswers,
    /// The residual check failed: some vector does not fit its secret.
    #[error("the residual check failed: a vector does not fit its key; nobody is named")]
    Residual,
    /// The operator or driver ended the round.
    #[error("the round was ended from outside")]
    Cancelled,
}

impl Abort {
    /// Stable code for transcripts and logs.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::CommitteeTooSmall { .. } => 1,
            Self::CohortTooSmall { .. } => 2,
            Self::TooFewHolders { .. } => 3,
            Self::TooFewLocks { .. } => 4,
            Self::TooFewAnswers { .. } => 5,
            Self::WrongAnswers => 6,
            Self::Residual => 7,
            Self::Cancelled => 8,
        }
    }
}

/// The caller used a machine out of order. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ApiMisuse {
    /// Nothing to contribute to: no manifest and roster have been accepted.
    #[error("there is no round waiting for a contribution")]
    NoRound,
    /// The call is about another round than the one this party is in.
    #[error("this party is in another round")]
    WrongRound,
    /// The model was not checked against the manifest of this round.
    #[error("the model of this round was not checked: call check_model first")]
    UncheckedModel,
    /// The update was contributed in an earlier round ([MASK-4]).
    #[error("this very update was contributed in another round")]
    SameUpdate,
    /// A contribution of this round was already made.
    #[error("this round already has a contribution")]
    AlreadyContributed,
    /// A round is already running.
    #[error("a round is already running")]
    RoundRunning,
    /// A ceremony is already running.
    #[error("a ceremony is already running")]
    CeremonyRunning,
    /// A session for a collective key is under way.
    #[error("a session for a collective key is under way: wait for its end, or cancel it")]
    SessionRunning,
    /// No epoch, or the epoch is used up.
    #[error("there is no epoch for this round: hold a ceremony first")]
    NoEpoch,
    /// The spool gave back other bytes than were stored.
    #[error("the spooled vector is not the one that was folded")]
    WrongSpool,
    /// The stored bytes are not those of the contribution on record.
    #[error("the stored contribution is not the one on record")]
    WrongContribution,
}
