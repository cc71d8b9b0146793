//! Objects of any length through one chunk of memory.
//!
//! ```text
//! EnvelopeWriter::new(out, object, readers) ── write … ── finish ──▶ out      dropped unfinished: does not open
//! EnvelopeReader::open(input, object, providers) ── read … ──▶ end of the object, or an error
//! ```
//!
//! # Security
//!
//! A reader that ends without an error has seen the whole object; what came before is a beginning of it. After an
//! error nothing more comes.

use std::io::{self, Read, Write};

use quorate_crypto::envelope::{CHUNK_TAG, ChunkError, ChunkOpener, ChunkSealer, DataKey};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::header::{CHUNK, Header, ObjectId};
use super::{EnvelopeError, Providers, Readers, wraps};
use crate::provider::Access;

/// Writes an envelope.
pub struct EnvelopeWriter<W: Write> {
    out: W,
    chunks: ChunkSealer,
    buffer: Zeroizing<Vec<u8>>,
    size: usize,
}

impl<W: Write> EnvelopeWriter<W> {
    /// Begins an object under a fresh data key, for these readers.
    ///
    /// # Errors
    /// [`EnvelopeError`]: no reader, one outside the regions, a provider that does not wrap, or the stream.
    pub fn new(
        mut out: W,
        object: ObjectId,
        readers: Readers<'_>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, EnvelopeError> {
        let data = DataKey::generate(rng);
        let mut header = Header { chunk: CHUNK, object, wraps: Vec::new() };
        header.wraps = wraps(&header, &data, readers, rng)?;
        out.write_all(&header.encode(&data)?)?;
        let size = CHUNK as usize;
        let buffer = Zeroizing::new(Vec::with_capacity(size + CHUNK_TAG));
        Ok(Self { out, chunks: ChunkSealer::new(&data, &header.binding()), buffer, size })
    }

    /// Ends the object.
    ///
    /// # Errors
    /// Of the stream.
    pub fn finish(mut self) -> Result<W, EnvelopeError> {
        self.put(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        self.chunks.seal(&mut self.buffer, last).map_err(io::Error::other)?;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Write for EnvelopeWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known not to be the last one.
        if self.buffer.len() == self.size && !bytes.is_empty() {
            self.put(false)?;
        }
        let taken = bytes.len().min(self.size - self.buffer.len());
        self.buffer.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    /// Of the stream below: a chunk that is not full stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads an envelope. As a [`Read`] its errors are [`EnvelopeError`]s within [`io::Error`]s.
pub struct EnvelopeReader<R: Read> {
    input: R,
    header: Header,
    chunks: ChunkOpener,
    /// The opened chunk, and how much of it has been read.
    open: Zeroizing<Vec<u8>>,
    read: usize,
    /// The first byte of the next chunk.
    ahead: Option<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Within,
    Ended,
    Failed,
}

impl<R: Read> EnvelopeReader<R> {
    /// Opens the envelope of this object.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn open(
        input: R,
        object: &ObjectId,
        providers: Providers<'_>,
        access: Access,
    ) -> Result<Self, EnvelopeError> {
        let reader = Self::open_any(input, providers, access)?;
        if reader.header.object == *object { Ok(reader) } else { Err(EnvelopeError::Object) }
    }

    /// Opens whatever object it is.
    pub(super) fn open_any(
        mut input: R,
        providers: Providers<'_>,
        access: Access,
    ) -> Result<Self, EnvelopeError> {
        let (data, header) = providers.unlock(Header::read(&mut input)?, access)?;
        let chunks = ChunkOpener::new(&data, &header.binding());
        let open = Zeroizing::new(Vec::new());
        Ok(Self { input, header, chunks, open, read: 0, ahead: None, state: State::Within })
    }

    /// The header, whose tag has been checked.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Writes the rest of the object to `out`, and says how many bytes those are.
    ///
    /// # Errors
    /// [`EnvelopeError`]; what has been written by then is not the whole object.
    pub fn copy_to(&mut self, out: &mut dyn Write) -> Result<u64, EnvelopeError> {
        let mut count = 0;
        while let Some(piece) = self.piece()? {
            out.write_all(piece)?;
            count += piece.len() as u64;
            self.read = self.open.len();
        }
        Ok(count)
    }

    /// What is open and not yet read; nothing at the end of the object.
    fn piece(&mut self) -> Result<Option<&[u8]>, EnvelopeError> {
        while self.read == self.open.len() && self.state == State::Within {
            let next = self.next_chunk();
            if next.is_err() {
                self.open.zeroize();
                self.state = State::Failed;
            }
            self.read = 0;
            next?;
        }
        match self.state {
            State::Failed => Err(refused(self.chunks.number(), ChunkError::Refused)),
            State::Ended if self.read == self.open.len() => Ok(None),
            State::Within | State::Ended => Ok(self.open.get(self.read..)),
        }
    }

    fn next_chunk(&mut self) -> Result<(), EnvelopeError> {
        let number = self.chunks.number();
        let full = self.header.chunk as usize + CHUNK_TAG;
        self.open.clear();
        self.open.extend(self.ahead.take());
        // One byte more than a chunk says whether another one follows.
        let missing = (full + 1 - self.open.len()) as u64;
        (&mut self.input).take(missing).read_to_end(&mut self.open)?;
        let last = self.open.len() <= full;
        if !last {
            self.ahead = self.open.pop();
        }
        self.chunks.open(&mut self.open, last).map_err(|error| refused(number, error))?;
        // Of two ways to end an object only one is taken: an empty chunk stands alone.
        if last && self.open.is_empty() && number > 0 {
            return Err(refused(number, ChunkError::Refused));
        }
        self.state = if last { State::Ended } else { State::Within };
        Ok(())
    }
}

impl<R: Read> Read for EnvelopeReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let Some(piece) = self.piece().map_err(io::Error::other)? else { return Ok(0) };
        let count = piece.len().min(out.len());
        out.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        self.read += count;
        Ok(count)
    }
}

fn refused(number: u64, error: ChunkError) -> EnvelopeError {
    EnvelopeError::Chunk { number, error }
}
