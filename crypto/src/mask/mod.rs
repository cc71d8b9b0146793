//! The data plane, under construction.

mod secret;

pub use secret::{KeySum, MaskSecret, SpentSecret};
