//! The simulator of Quorate.

pub mod report;
pub mod task;
