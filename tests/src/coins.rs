//! Randomness that leaves no trace of itself, and tells a test what was drawn.

use std::convert::Infallible;

use quorate_crypto::kdf::derive;
use quorate_crypto::labels;
use rand_core::{TryCryptoRng, TryRng};

/// Draws by a seed. Unlike a stream cipher it has no buffer in which draws would stay.
pub struct Coins {
    seed: u64,
    count: u64,
    /// Everything that was drawn, if somebody asks for it.
    pub drawn: Option<Vec<Vec<u8>>>,
}

impl Coins {
    /// Draws of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, count: 0, drawn: None }
    }

    /// The same, written down.
    #[must_use]
    pub const fn recorded(seed: u64) -> Self {
        Self { seed, count: 0, drawn: Some(Vec::new()) }
    }
}

impl TryRng for Coins {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        for block in into.chunks_mut(32) {
            self.count += 1;
            let drawn = derive(labels::SIMULATION, &self.seed.to_le_bytes(), &[&self.count.to_le_bytes()]);
            block.copy_from_slice(&drawn[..block.len()]);
        }
        if let Some(drawn) = &mut self.drawn {
            drawn.push(into.to_vec());
        }
        Ok(())
    }
}

impl TryCryptoRng for Coins {}
