//! Time as the life of keys counts it: seconds since 1970, rounds, and lengths of time.
//!
//! ```text
//! At { time, round }   when something happened: both clocks at once, since an overlap may be counted in either
//! Span                 a length of time, written "90d", "12h", "30m", "45s"
//! ```
//!
//! Nothing here reads a clock. Differences saturate at zero: after a clock has stepped back everything is as young as
//! it can be, and nothing becomes due by mistake.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Seconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// How long before this `earlier` was; nothing if it was not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This much later.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A time and the newest round that had begun by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At {
    /// The time.
    pub time: Time,
    /// The round; 0 before the first.
    pub round: u64,
}

impl At {
    /// This time in this round.
    #[must_use]
    pub const fn new(time: Time, round: u64) -> Self {
        Self { time, round }
    }
}

/// A length of time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// One minute.
    pub const MINUTE: Self = Self(60);
    /// One hour.
    pub const HOUR: Self = Self(3600);
    /// One day of 86,400 seconds.
    pub const DAY: Self = Self(86_400);

    /// So many days.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(Self::DAY.0.saturating_mul(days))
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// This many hundredths of it.
    #[must_use]
    pub const fn percent(self, percent: u64) -> Self {
        // Split so that the product cannot overflow.
        Self((self.0 / 100).saturating_mul(percent).saturating_add((self.0 % 100) * percent / 100))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) =
            UNITS.into_iter().find(|(size, _)| self.0.is_multiple_of(*size)).unwrap_or((1, 's'));
        if self.0 == 0 { f.write_str("0s") } else { write!(f, "{}{unit}", self.0 / size) }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unit = text.chars().last().ok_or(SpanError)?;
        let (size, _) = UNITS.into_iter().find(|(_, known)| *known == unit).ok_or(SpanError)?;
        let digits = text.strip_suffix(unit).ok_or(SpanError)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SpanError);
        }
        let number: u64 = digits.parse().map_err(|_| SpanError)?;
        number.checked_mul(size).map(Self).ok_or(SpanError)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// Not a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a length of time is a whole number and one of d, h, m, s")]
pub struct SpanError;

/// Units, the longest first.
const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];

#[cfg(test)]
mod tests {
    use super::{Span, Time};

    #[test]
    fn spans_are_read_as_written() {
        for text in ["90d", "1h", "30m", "45s", "0s", "3601s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("24h".parse::<Span>().unwrap(), Span::DAY);
        for wrong in ["", "d", "1", "1w", "-1d", "+1d", "1 d", "99999999999999999999d", "999999999999999999d"]
        {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_makes_nothing_old() {
        assert_eq!(Time(5).since(Time(9)), Span::ZERO);
        assert_eq!(Time(u64::MAX).after(Span::DAY), Time(u64::MAX));
    }

    #[test]
    fn hundredths_of_long_spans_do_not_overflow() {
        assert_eq!(Span::days(90).percent(50), Span::days(45));
        assert_eq!(Span(u64::MAX).percent(100), Span(u64::MAX));
        assert_eq!(Span(199).percent(50), Span(99));
    }
}
