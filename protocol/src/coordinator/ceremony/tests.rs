//! Ceremonies between the machines: [EPOCH-1], [DRAW-3].

mod coordinator;
mod hall;
mod party;
