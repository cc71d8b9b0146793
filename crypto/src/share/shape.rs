//! The committee's numbers from its size ([COMM-1], PROTOCOL.md §5).

/// What follows from the number of members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitteeShape {
    /// Members.
    pub m: u16,
    /// Corrupt members borne.
    pub c: u16,
    /// Answers that open a round: the dimension of the code.
    pub r: u16,
    /// Secrets in one polynomial; r − ρ colluding members learn nothing.
    pub rho: u16,
    /// Q, the locks that certify a set.
    pub quorum: u16,
    /// Wrong answers that `direct` detects; 0 in masked rounds, where the residual check does it.
    pub e: u16,
}

impl CommitteeShape {
    /// The shape of a masked round: r = Q. None below two members.
    #[must_use]
    pub fn masked(m: u16) -> Option<Self> {
        let (c, quorum) = Self::quorum(m)?;
        let rho = largest_power_of_two(quorum.checked_sub(c.max(1))?)?;
        Some(Self { m, c, r: quorum, rho, quorum, e: 0 })
    }

    /// The shape of a round in suite `direct` ([DIRECT-1]). None below three members.
    #[must_use]
    pub fn direct(m: u16) -> Option<Self> {
        let (c, quorum) = Self::quorum(m)?;
        let rho = largest_power_of_two((m - c).checked_sub(c.max(1) + 1)?)?;
        let r = c.max(1) + rho;
        Some(Self { m, c, r, rho, quorum, e: (m - c - r).min(6) })
    }

    /// c = ⌊(m−1)/3⌋ and Q = ⌊(m+c)/2⌋+1 ([OPEN-1]).
    fn quorum(m: u16) -> Option<(u16, u16)> {
        let c = m.checked_sub(1)? / 3;
        Some((c, (u32::from(m) + u32::from(c)).div_euclid(2) as u16 + 1))
    }
}

/// The largest power of two ≤ n.
fn largest_power_of_two(n: u16) -> Option<u16> {
    n.checked_ilog2().map(|log| 1 << log)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [COMM-1]: the table of PROTOCOL.md §5.
    #[test]
    fn masked_rows_are_those_of_the_table() {
        for (m, c, r, rho, free, silent, corrected) in [
            (4, 1, 3, 2, 1, 1, 0),
            (7, 2, 5, 2, 3, 2, 1),
            (16, 5, 11, 4, 7, 5, 2),
            (64, 21, 43, 16, 27, 21, 10),
            (128, 42, 86, 32, 54, 42, 21),
        ] {
            let shape = CommitteeShape::masked(m).unwrap();
            assert_eq!(shape, CommitteeShape { m, c, r, rho, quorum: r, e: 0 });
            assert_eq!((r - rho, m - r, (m - r) / 2), (free, silent, corrected));
        }
        assert_eq!(CommitteeShape::masked(2).map(|s| (s.c, s.r, s.rho)), Some((0, 2, 1)));
        assert_eq!(CommitteeShape::masked(3).map(|s| (s.c, s.r, s.rho)), Some((0, 2, 1)));
        assert_eq!((CommitteeShape::masked(0), CommitteeShape::masked(1)), (None, None));
    }

    /// [DIRECT-1], [COMM-1].
    #[test]
    fn direct_rows_are_those_of_the_rule() {
        let shape = CommitteeShape::direct(64).unwrap();
        assert_eq!((shape.c, shape.r, shape.rho, shape.e, shape.quorum), (21, 37, 16, 6, 43));
        assert_eq!(CommitteeShape::direct(3).map(|s| (s.c, s.r, s.rho, s.e)), Some((0, 2, 1, 1)));
        assert_eq!(CommitteeShape::direct(4).map(|s| (s.c, s.r, s.rho, s.e)), Some((1, 2, 1, 1)));
        assert!((0..3).all(|m| CommitteeShape::direct(m).is_none()));
    }

    /// [POL-1], [OPEN-1], [DIRECT-1] for every size.
    #[test]
    fn every_size_keeps_the_policy_bounds() {
        for m in 2..=u16::MAX {
            let shape = CommitteeShape::masked(m).unwrap();
            assert!(shape.r - shape.rho >= shape.c.max(1) && shape.r <= m - shape.c, "{m}");
            assert!(2 * u32::from(shape.quorum) > u32::from(m) + u32::from(shape.c));
            let Some(direct) = CommitteeShape::direct(m) else { continue };
            assert!(direct.e >= 1 && direct.r + direct.e <= m - direct.c, "{m}");
            assert!(direct.r - direct.rho >= direct.c.max(1));
        }
    }
}
