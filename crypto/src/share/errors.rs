//! Why something about shares was refused.

/// Parameters no round can have ([FIELD-1], [COMM-1], [DIRECT-1]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShareParamsError {
    /// A suite with a ring was wanted.
    #[error("suite direct has no mask secret to share: take the direct form")]
    NeedsRing,
    /// Not 1 ≤ n_max ≤ 10,000.
    #[error("n_max is {0}; 1 to 10,000 participants are possible")]
    Participants(u32),
    /// Not 1 ≤ b ≤ 24.
    #[error("{0} bits per slot; 1 to 24 are possible")]
    SlotBits(u8),
    /// Not 1 ≤ slots ≤ 8192.
    #[error("{0} slots; suite direct carries 1 to 8192, longer vectors need a ring")]
    Slots(usize),
    /// Not 1 ≤ ρ < r ≤ m ≤ 512.
    #[error("m = {m}, r = {r}, ρ = {rho}; needed is 1 ≤ ρ < r ≤ m ≤ 512")]
    Committee {
        /// Members.
        m: u16,
        /// Answers that open a round.
        r: u16,
        /// Secrets in one polynomial.
        rho: u16,
    },
    /// No prime below 2⁴⁰ is large enough.
    #[error("the field would need more than 40 bits")]
    Field,
}

/// A dealer's own input does not fit the round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DealError {
    /// Slots in a masked round, or a mask secret in a direct one.
    #[error("this round shares the other kind of secret")]
    WrongSuite,
    /// Another number of coefficients or slots than the round has.
    #[error("{have} secrets, the round has {want}")]
    WrongLength {
        /// Given.
        have: usize,
        /// Wanted.
        want: usize,
    },
    /// A slot of 2ᵇ or more.
    #[error("a slot does not fit its bits")]
    SlotTooLarge,
}

/// Bytes that are not a share or an answer ([FIELD-1], [DEAL-1]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShareError {
    /// Not 1 ≤ index ≤ m.
    #[error("no member has index {0}")]
    IndexOutOfRange(u16),
    /// Not the one length possible.
    #[error("{have} bytes, expected {want}")]
    WrongLength {
        /// Given.
        have: usize,
        /// Wanted.
        want: usize,
    },
    /// An element ≥ P.
    #[error("an element is not below the prime")]
    ElementTooLarge,
    /// A bit after the last element is set.
    #[error("a bit after the last element is set")]
    PaddingNotZero,
}

/// Check values that cannot be decoded at all ([CHK-1]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckError {
    /// Not 1 ≤ index ≤ m.
    #[error("no member has index {0}")]
    IndexOutOfRange(u16),
    /// An index twice.
    #[error("member {0} stands twice in the list")]
    DuplicateIndex(u16),
    /// Not K values.
    #[error("member {0} gave another number of check values than the round has")]
    WrongLength(u16),
    /// A value ≥ P.
    #[error("a check value of member {0} is not below the prime")]
    ValueTooLarge(u16),
    /// Fewer than r members: every word would do.
    #[error("{have} members gave check values, {need} are needed")]
    TooFew {
        /// Given.
        have: usize,
        /// r.
        need: usize,
    },
}

/// Answers from which nothing can be opened ([RS-1], [DIRECT-1]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReconstructError {
    /// Not 1 ≤ index ≤ m.
    #[error("no member has index {0}")]
    IndexOutOfRange(u16),
    /// An index twice.
    #[error("member {0} stands twice in the list")]
    DuplicateIndex(u16),
    /// An answer of another round's shape.
    #[error("the answer of member {0} belongs to another kind of round")]
    WrongShape(u16),
    /// Fewer answers than r (`direct`: than a_min).
    #[error("{have} answers, {need} are needed")]
    TooFew {
        /// Given.
        have: usize,
        /// Wanted.
        need: usize,
    },
    /// More wrong answers than can be told apart; nobody is named.
    #[error("more answers are wrong than can be corrected")]
    TooManyWrong,
    /// A secret behind the last one is not zero.
    #[error("the padding does not open to zero")]
    PaddingNotZero,
    /// A sum no set of this size can have.
    #[error("an opened sum is larger than the contributors can have made it")]
    SumTooLarge,
    /// Not 1 ≤ |D| ≤ n_max.
    #[error("{0} contributors; the round allows 1 to n_max")]
    Contributors(u32),
    /// a_min ≤ r or above m, another number of slots, or the other suite.
    #[error("the call does not fit the parameters of the round")]
    WrongParameters,
}
