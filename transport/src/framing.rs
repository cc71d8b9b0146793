//! Control frames on their ordered stream: a length in front ([WIRE-1], [WIRE-4]).
//!
//! ```text
//! u32le(length) ‖ frame         length 0, from the coordinator only: "there may be something for you, poll"
//! ```
//!
//! # Security
//!
//! The length is held against the largest frame before the frame's header is read, and against the limit of the
//! frame's own type before its body is. Each direction takes the types that belong to it; a contribution never
//! comes this way (RT-40).

use quinn::{RecvStream, SendStream};
use quorate_protocol::wire::{self, HEADER};

use crate::limits::Limits;
use crate::pace::{Broken, Pace, write};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Party,
    /// A party that a session for a collective key has called: its part of the key is the one long frame a party sends.
    Holder,
    Coordinator,
}

impl From {
    /// The largest body of a type that this side may send.
    const fn limit(self, kind: u8) -> Option<usize> {
        match (self, kind) {
            (Self::Party | Self::Holder, 2 | 4 | 8 | 12 | 14 | 16 | 18 | 19)
            | (Self::Party | Self::Holder, 21 | 23 | 27 | 29 | 31 | 34 | 37 | 39)
            | (Self::Holder, 25)
            | (Self::Coordinator, 1 | 3 | 5 | 6 | 7 | 9 | 11 | 13 | 15 | 17)
            | (Self::Coordinator, 20 | 22 | 24 | 26 | 28 | 30 | 32 | 33 | 35 | 36 | 38 | 41) => {
                wire::limit(kind)
            }
            _ => None,
        }
    }

    fn largest(self) -> usize {
        (0..=u8::MAX).filter_map(|kind| self.limit(kind)).max().unwrap_or(0) + HEADER
    }
}

/// The next frame; `None` at the end of the stream. Waits for its first byte as long as it takes, and asks only then who
/// sends it.
pub(crate) async fn read(
    stream: &mut RecvStream,
    from: impl Fn() -> From,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, Broken> {
    let mut first = [0; 1];
    match stream.read(&mut first).await {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(None),
        Err(_) => return Err(Broken::Lost),
    }
    let from = from();
    let mut pace = Pace::request(limits);
    let [a, b, c] = pace.exact(stream).await?;
    let length = u32::from_le_bytes([first[0], a, b, c]) as usize;
    if length == 0 && from == From::Coordinator {
        return Ok(Some(Vec::new()));
    }
    if length < HEADER || length > from.largest() {
        return Err(Broken::Protocol);
    }
    let header: [u8; HEADER] = pace.exact(stream).await?;
    // [WIRE-1]: version, type, length, in this order.
    if header[0] != quorate_protocol::manifest::VERSION {
        return Err(Broken::Protocol);
    }
    let limit = from.limit(header[1]).ok_or(Broken::Protocol)?;
    if length - HEADER > limit {
        return Err(Broken::Protocol);
    }
    let mut frame = header.to_vec();
    Pace::new(limits).fill(stream, &mut frame, length).await?;
    Ok(Some(frame))
}

/// Writes one frame; an empty one is the word to poll.
pub(crate) async fn send(stream: &mut SendStream, frame: &[u8], limits: &Limits) -> Result<(), Broken> {
    let length = u32::try_from(frame.len()).map_err(|_| Broken::Protocol)?;
    write(stream, &length.to_le_bytes(), limits).await?;
    write(stream, frame, limits).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::wire::{
        Announce, Call, Commit, Commitments, Contribution, Keys, Message as _, Poll, SealedContribution,
        SeedReveal,
    };

    #[test]
    fn each_direction_has_its_types() {
        assert_eq!(From::Party.limit(Contribution::TYPE), None);
        assert_eq!(From::Party.limit(Announce::TYPE), None);
        assert_eq!(From::Coordinator.limit(Poll::TYPE), None);
        assert_eq!(From::Party.limit(Keys::TYPE), None);
        assert!(From::Coordinator.limit(Keys::TYPE).is_some());
        assert_eq!(From::Party.limit(Poll::TYPE), Some(32));
        for (down, up) in [(Call::TYPE, Commit::TYPE), (Commitments::TYPE, SeedReveal::TYPE)] {
            assert_eq!((From::Party.limit(down), From::Coordinator.limit(up)), (None, None));
            assert!(From::Party.limit(up).is_some() && From::Coordinator.limit(down).is_some());
        }
        assert_eq!(From::Party.largest(), (1 << 20) + HEADER);
        assert_eq!(From::Holder.largest(), (18 << 20) + HEADER);
        assert_eq!(From::Coordinator.largest(), (13 << 20) + HEADER);
        // Every type has one direction, but for those that travel as uploads.
        for kind in 1..=41 {
            let ways =
                [From::Holder, From::Coordinator].iter().filter(|from| from.limit(kind).is_some()).count();
            let upload = matches!(kind, Contribution::TYPE | SealedContribution::TYPE);
            assert_eq!(ways, usize::from(!upload), "{kind}");
        }
    }
}
