//! Reading and writing with a least rate: whoever is slower is cut off (RT-37).
//!
//! Time is cut into windows. In each, at least `rate · window` bytes have to pass, or the transfer has to end. A
//! peer that sends one byte now and then holds a stream for one window, not for ever.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Chunk, ReadError, RecvStream, SendStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::limits::Limits;

/// Why a transfer ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Stream or connection are gone.
    Lost,
    /// Slower than the least rate.
    Slow,
    /// The stream ended where more had to come, or holds what it must not.
    Protocol,
}

/// The least rate of one transfer.
pub(crate) struct Pace {
    least: u64,
    window: Duration,
    end: Instant,
    got: u64,
}

impl Pace {
    /// Begins now.
    pub(crate) fn new(limits: &Limits) -> Self {
        let millis = u64::try_from(limits.rate_window.as_millis()).unwrap_or(u64::MAX);
        let least = (limits.rate.saturating_mul(millis) / 1000).max(1);
        Self::of(least, limits.rate_window)
    }

    /// For a request of fixed form: all of it has to be there in time.
    pub(crate) fn request(limits: &Limits) -> Self {
        Self::of(u64::MAX, limits.request)
    }

    fn of(least: u64, window: Duration) -> Self {
        Self { least, window, end: Instant::now() + window, got: 0 }
    }

    /// The next bytes, at most `max`; `None` at the end of the stream.
    pub(crate) async fn chunk(&mut self, from: &mut RecvStream, max: usize) -> Result<Option<Chunk>, Broken> {
        loop {
            match timeout_at(self.end, from.read_chunk(max, true)).await {
                Ok(Ok(Some(chunk))) => {
                    self.got += chunk.bytes.len() as u64;
                    if Instant::now() >= self.end {
                        self.turn()?;
                    }
                    return Ok(Some(chunk));
                }
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(ReadError::IllegalOrderedRead)) => return Err(Broken::Protocol),
                Ok(Err(_)) => return Err(Broken::Lost),
                Err(_) => self.turn()?,
            }
        }
    }

    fn turn(&mut self) -> Result<(), Broken> {
        if self.got < self.least {
            return Err(Broken::Slow);
        }
        (self.got, self.end) = (0, Instant::now() + self.window);
        Ok(())
    }

    /// Appends to `into` until it has `length` bytes. Memory grows with what came, not with what was announced
    /// ([WIRE-1]).
    pub(crate) async fn fill(
        &mut self,
        from: &mut RecvStream,
        into: &mut Vec<u8>,
        length: usize,
    ) -> Result<(), Broken> {
        while into.len() < length {
            let chunk = self.chunk(from, length - into.len()).await?.ok_or(Broken::Protocol)?.bytes;
            if into.capacity() - into.len() < chunk.len() {
                let room = into.len().max(chunk.len()).max(STEP).min(length - into.len());
                into.reserve_exact(room);
            }
            into.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Exactly this many bytes.
    pub(crate) async fn exact<const N: usize>(&mut self, from: &mut RecvStream) -> Result<[u8; N], Broken> {
        let mut bytes = [0; N];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let chunk = self.chunk(from, rest.len()).await?.ok_or(Broken::Protocol)?.bytes;
            rest.iter_mut().zip(&chunk).for_each(|(to, byte)| *to = *byte);
            filled += chunk.len();
        }
        Ok(bytes)
    }
}

/// Writes all of it at the least rate.
pub(crate) async fn write(to: &mut SendStream, bytes: &[u8], limits: &Limits) -> Result<(), Broken> {
    let least = usize::try_from(Pace::new(limits).least).unwrap_or(usize::MAX);
    for piece in bytes.chunks(least.clamp(1, STEP)) {
        match timeout(limits.rate_window, to.write_all(piece)).await {
            Ok(written) => written.map_err(|_| Broken::Lost)?,
            Err(_) => return Err(Broken::Slow),
        }
    }
    Ok(())
}

/// The same of bytes that many streams send at one time: none of them has a copy.
pub(crate) async fn write_shared(
    to: &mut SendStream,
    mut bytes: Bytes,
    limits: &Limits,
) -> Result<(), Broken> {
    let least = usize::try_from(Pace::new(limits).least).unwrap_or(usize::MAX);
    while !bytes.is_empty() {
        let piece = bytes.split_to(least.clamp(1, STEP).min(bytes.len()));
        match timeout(limits.rate_window, to.write_chunk(piece)).await {
            Ok(written) => written.map_err(|_| Broken::Lost)?,
            Err(_) => return Err(Broken::Slow),
        }
    }
    Ok(())
}

/// Bytes by which buffers grow at first.
const STEP: usize = 64 << 10;
