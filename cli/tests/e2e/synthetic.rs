//! A small deployment with known updates: six devices, four of them on the committee.

use std::path::Path;

use quorate_sim::task::{Task, TaskKind, TaskOptions};

use crate::coordinator::{Coordinator, Plan};
use crate::device::Device;

pub const PARTIES: usize = 6;
/// Committee members: the first so many.
pub const MEMBERS: usize = 4;
/// Bound of a weight.
pub const WEIGHT: u32 = 16;

/// What all devices do: known updates.
pub fn task(dim: usize) -> Box<dyn Task> {
    let options = TaskOptions { participants: PARTIES, dim, ..TaskOptions::default() };
    TaskKind::Synthetic.build(&options).unwrap()
}

/// Coordinator and devices, none of which runs or has joined.
pub fn make(
    root: &Path,
    dim: usize,
    stages: [u64; 5],
    change: impl FnOnce(&mut Plan<'_>),
) -> (Coordinator, Vec<Device>) {
    let mut plan = Plan::new(PARTIES, "synthetic", stages);
    plan.set("jobs.main.dim", dim as i64);
    let task = task(dim);
    plan.model = Some(task.safetensors(&task.initial_model()));
    plan.set("jobs.main.weight_bound", i64::from(WEIGHT));
    plan.set("jobs.main.committee", MEMBERS as i64);
    change(&mut plan);
    let coordinator = Coordinator::make(&root.join("coordinator"), &plan);
    let device = |index: usize| {
        let share = format!("--task synthetic --dim {dim} --shard {}/{PARTIES}", index + 1);
        Device::new(&root.join(format!("device-{index}")), &share)
    };
    (coordinator, (0..PARTIES).map(device).collect())
}
