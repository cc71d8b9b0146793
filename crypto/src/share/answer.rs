//! Answers: sums of shares, and what opens from them ([RS-1], [DIRECT-1], PROTOCOL.md §5).
//!
//! # Security
//!
//! A [`ShareSum`] is a member's secret until the round is certified; it wipes itself. Opening works
//! on answers, which the coordinator may know, and takes a time that depends on them.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::decode::Positions;
use super::errors::{ReconstructError, ShareError};
use super::matrix::{Grid, apply, lagrange, multiply};
use super::pack::{pack_into, unpack};
use super::{Layout, SECRET_BOUND, Secrets, Share, Sharing, secret_points};
use crate::mask::KeySum;

/// Bits by which a wrong answer would have to be lucky to stay unseen ([RS-1]).
const SOUNDNESS_BITS: u32 = 80;

/// A member's running sum of shares. Wiped on drop.
pub struct ShareSum {
    layout: Layout,
    groups: Zeroizing<Vec<u64>>,
}

impl ShareSum {
    /// Zero.
    #[must_use]
    pub fn new(sharing: &Sharing) -> Self {
        Self { layout: sharing.layout, groups: Zeroizing::new(vec![0; sharing.layout.groups]) }
    }

    /// Adds a share.
    ///
    /// # Panics
    /// If the share was opened by a sharing with other parameters.
    pub fn add(&mut self, share: &Share) {
        let field = self.layout.field;
        self.update(share, |sum, element| field.add(sum, element));
    }

    /// Takes a share out again.
    ///
    /// # Panics
    /// If the share was opened by a sharing with other parameters.
    pub fn sub(&mut self, share: &Share) {
        let field = self.layout.field;
        self.update(share, |sum, element| field.sub(sum, element));
    }

    fn update(&mut self, share: &Share, step: impl Fn(u64, u64) -> u64) {
        assert!(*share.layout() == self.layout, "a share is used with the sharing that opened it");
        let elements = share.elements(self.layout.groups);
        self.groups.iter_mut().zip(elements.iter()).for_each(|(sum, &x)| *sum = step(*sum, x));
    }

    /// The answer: G elements, bit-packed ([FIELD-1]).
    #[must_use]
    pub fn encode(&self, sharing: &Sharing) -> Vec<u8> {
        let mut bytes = vec![0; sharing.answer_bytes()];
        pack_into(&self.layout.field, &self.groups, &mut bytes);
        bytes
    }
}

/// A member's answer, parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    layout: Layout,
    groups: Vec<u64>,
}

impl Answer {
    /// The sums of shares, one per group.
    #[cfg(test)]
    pub(crate) fn elements(&self) -> &[u64] {
        &self.groups
    }
}

/// What answers opened to.
pub struct Reconstruction {
    /// The sums of secrets, group by group: G·ρ elements below P.
    pub secrets: Vec<u64>,
    /// Members whose answers are off the opened code word, ascending. See [`Reconstruction::nameable`].
    pub wrong: Vec<u16>,
    /// Answers on the code word.
    agreeing: usize,
    /// r − ρ.
    free: usize,
}

impl Reconstruction {
    /// The wrong members that may be named, *provided the residual check passes* and their check
    /// values were consistent ([RS-1]); empty if up to `corrupt` members could have made honest ones
    /// look wrong.
    ///
    /// The residual check shows that the secrets are right. At least `agreeing − corrupt` honest
    /// answers lie on the opened code word; with the ρ secrets they fix it if they are r − ρ or more.
    /// With fewer, `corrupt` liars can pick a word through the right secrets and miss honest members.
    #[must_use]
    pub fn nameable(&self, corrupt: u16) -> &[u16] {
        if self.agreeing >= self.free + usize::from(corrupt) { &self.wrong } else { &[] }
    }
}

impl Sharing {
    /// Parses an answer: exact length, canonical ([FIELD-1]).
    ///
    /// # Errors
    /// Any other bytes.
    pub fn parse_answer(&self, bytes: &[u8]) -> Result<Answer, ShareError> {
        let groups = unpack(&self.layout.field, bytes, self.layout.groups)?.to_vec();
        Ok(Answer { layout: self.layout, groups })
    }

    /// Opens the sums from the answers, all of which must be in before `rng` is asked ([RS-1]).
    ///
    /// Wrong answers, up to ⌊(a−r)/2⌋, are found from random combinations of the groups; one that is
    /// off stays unseen with probability below 2⁻⁸⁰. The rest of the answers agree in the same
    /// combinations, so any r of them open the sums.
    ///
    /// # Errors
    /// Suite `direct`, too few or malformed answers, or more wrong ones than can be told apart: then nobody is named.
    pub fn reconstruct<R: CryptoRng + ?Sized>(
        &self,
        answers: &[(u16, Answer)],
        rng: &mut R,
    ) -> Result<Reconstruction, ReconstructError> {
        if self.kind != Secrets::Coefficients {
            return Err(ReconstructError::WrongParameters);
        }
        let positions = self.take_in(answers, usize::from(self.shape.r))?;
        let field = &self.layout.field;
        let combinations = SOUNDNESS_BITS.div_ceil(self.prime().ilog2()) as usize;
        let coefficients = field.uniform(combinations * self.layout.groups, rng);
        let mut words = Grid::new(self.members(), combinations);
        for (index, answer) in answers {
            apply(field, &coefficients, &answer.groups, words.row_mut(usize::from(*index) - 1));
        }
        let radius = self.code.radius(answers.len());
        let wrong = self.code.locate(positions, &words, radius).ok_or(ReconstructError::TooManyWrong)?;
        Ok(self.open(answers, wrong))
    }

    /// `S = Σ s`, centred; every coefficient at most 36·|D|, the padding zero.
    ///
    /// # Errors
    /// The opened sums are none that `contributors` participants can have.
    pub fn key_sum(&self, opened: &Reconstruction, contributors: u32) -> Result<KeySum, ReconstructError> {
        let fits = opened.secrets.len() == self.layout.groups * usize::from(self.shape.rho);
        if self.kind != Secrets::Coefficients || !fits {
            return Err(ReconstructError::WrongParameters);
        }
        self.check_contributors(contributors)?;
        let secrets = self.without_padding(&opened.secrets)?;
        let bound = SECRET_BOUND * u64::from(contributors);
        let centred = secrets.iter().map(|&x| self.layout.field.centred(x));
        let checked = centred.map(|x| (x.unsigned_abs() <= bound).then_some(x as i32));
        checked.collect::<Option<_>>().map(KeySum::new).ok_or(ReconstructError::SumTooLarge)
    }

    /// Opens the sums of slots in suite `direct` ([DIRECT-1]): at least `a_min` answers lie on one
    /// code word in every group, the padding is zero and every sum at most |D|·(2ᵇ−1). Exact; with at
    /// most a_min − r wrong answers the sums are right.
    ///
    /// # Errors
    /// Anything else; nobody is named.
    pub fn reconstruct_direct(
        &self,
        answers: &[(u16, Answer)],
        a_min: u16,
        slots: usize,
        contributors: u32,
    ) -> Result<Vec<u64>, ReconstructError> {
        let Secrets::Slots { bits } = self.kind else { return Err(ReconstructError::WrongParameters) };
        if slots != self.count || a_min <= self.shape.r || a_min > self.shape.m {
            return Err(ReconstructError::WrongParameters);
        }
        self.check_contributors(contributors)?;
        let positions = self.take_in(answers, usize::from(a_min))?;
        let mut words = Grid::new(self.members(), self.layout.groups);
        for (index, answer) in answers {
            words.row_mut(usize::from(*index) - 1).copy_from_slice(&answer.groups);
        }
        let spare = answers.len() - usize::from(a_min);
        let radius = self.code.radius(answers.len()).min(spare);
        let wrong = self.code.locate(positions, &words, radius).ok_or(ReconstructError::TooManyWrong)?;
        let opened = self.open(answers, wrong);
        let sums = self.without_padding(&opened.secrets)?;
        let bound = u64::from(contributors) * ((1 << bits) - 1);
        if sums.iter().any(|&sum| sum > bound) {
            return Err(ReconstructError::SumTooLarge);
        }
        Ok(sums.to_vec())
    }

    /// Who answered: at least `need` distinct members with answers of this round.
    fn take_in(&self, answers: &[(u16, Answer)], need: usize) -> Result<Positions, ReconstructError> {
        let mut seen = vec![false; self.members()];
        for (index, answer) in answers {
            let slot = usize::from(*index).checked_sub(1).and_then(|at| seen.get_mut(at));
            if std::mem::replace(slot.ok_or(ReconstructError::IndexOutOfRange(*index))?, true) {
                return Err(ReconstructError::DuplicateIndex(*index));
            }
            if answer.layout != self.layout {
                return Err(ReconstructError::WrongShape(*index));
            }
        }
        if answers.len() < need {
            return Err(ReconstructError::TooFew { have: answers.len(), need });
        }
        Ok(self.code.positions(answers.iter().map(|&(index, _)| index)))
    }

    /// Interpolates the secrets of every group from r answers that are not in `wrong`.
    fn open(&self, answers: &[(u16, Answer)], wrong: Vec<u16>) -> Reconstruction {
        let good = answers.iter().filter(|(index, _)| wrong.binary_search(index).is_err());
        let good: Vec<&(u16, Answer)> = good.take(usize::from(self.shape.r)).collect();
        let from: Vec<i32> = good.iter().map(|(index, _)| i32::from(*index)).collect();
        let to: Vec<i32> = secret_points(self.shape.rho).collect();
        let mut values = Grid::new(good.len(), self.layout.groups);
        for (row, (_, answer)) in values.rows_mut().zip(good) {
            row.copy_from_slice(&answer.groups);
        }
        let field = &self.layout.field;
        let opened = multiply(field, &lagrange(field, &self.inverses, &from, &to), &values);
        let rho = to.len();
        let mut secrets = vec![0; self.layout.groups * rho];
        for (j, row) in opened.rows().enumerate() {
            secrets.iter_mut().skip(j).step_by(rho).zip(row).for_each(|(out, &x)| *out = x);
        }
        Reconstruction { secrets, agreeing: answers.len() - wrong.len(), wrong, free: self.free() }
    }

    fn without_padding<'a>(&self, secrets: &'a [u64]) -> Result<&'a [u64], ReconstructError> {
        let (secrets, padding) = secrets.split_at(self.count);
        if padding.iter().any(|&x| x != 0) { Err(ReconstructError::PaddingNotZero) } else { Ok(secrets) }
    }

    fn check_contributors(&self, contributors: u32) -> Result<(), ReconstructError> {
        let possible = contributors >= 1 && contributors <= self.n_max;
        if possible { Ok(()) } else { Err(ReconstructError::Contributors(contributors)) }
    }
}
