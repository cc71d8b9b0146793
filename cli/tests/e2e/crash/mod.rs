//! Processes that die at a fault point: before, in the middle of, and after every step towards the disk.
//!
//! ```text
//! seed ─▶ victim, point ─▶ join, start, run; the victim dies and is started again ─▶ rounds end ─▶ checks
//! ```
//!
//! What is checked is in [`crate::judge`]; that the deaths happen is counted, and the counts are printed.

mod story;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::draw;
use story::{Story, Victim};

/// Points that a clean run passes, by victim.
fn measure() -> BTreeMap<Victim, u64> {
    let told = Story::clean().play();
    Victim::ALL.iter().map(|victim| (*victim, told.points[victim])).collect()
}

/// Plays so many stories, `beside` at a time, and prints what happened.
fn campaign(seeds: std::ops::Range<u64>, beside: usize) {
    let points = measure();
    println!("fault points of a clean run: {points:?}");
    assert!(
        points.values().all(|count| *count > 8),
        "a process passes no fault points: was it built with them?"
    );
    let next = AtomicU64::new(seeds.start);
    let (tally, failed) = (Mutex::new(BTreeMap::<String, u64>::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..beside {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let victim = Victim::ALL[(seed % Victim::ALL.len() as u64) as usize];
                    // A shorter run than the clean one passes fewer points.
                    let least =
                        if victim == Victim::Newcomer { points[&victim] } else { points[&victim] * 4 / 5 };
                    let fault = 1 + draw(seed, 1, least);
                    let played = std::panic::catch_unwind(|| Story::new(seed, victim, fault).play());
                    let Ok(told) = played else {
                        println!("seed {seed}: {victim:?} at point {fault} FAILED");
                        failed.lock().unwrap().push(seed);
                        continue;
                    };
                    let mut tally = tally.lock().unwrap();
                    let died = told.died.as_deref().unwrap_or("not reached");
                    println!(
                        "seed {seed}: {victim:?} at point {fault}: {died}; {} opened, {} aborted",
                        told.opened, told.aborted
                    );
                    *tally.entry(format!("{victim:?}, {died}")).or_default() += 1;
                    *tally.entry("rounds opened".into()).or_default() += told.opened as u64;
                    *tally.entry("rounds aborted".into()).or_default() += told.aborted as u64;
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    println!("{tally:#?}");
    assert_eq!(failed.into_inner().unwrap(), Vec::<u64>::new(), "seeds that failed");
    let deaths: u64 = tally.iter().filter(|(name, _)| name.contains("of the")).map(|(_, count)| count).sum();
    assert!(deaths * 2 > seeds.end - seeds.start, "the faults do nothing");
}

// RT-11, RT-55
#[test]
fn processes_may_die_at_any_step_towards_the_disk() {
    campaign(0..8, 2);
}

// RT-11: dead between the record of a result and its model: the mean is in the model after the restart, exact.
#[test]
fn a_mean_survives_a_death_right_after_its_record() {
    let told = Story::patient(1, Victim::Coordinator, "Opened").play();
    assert_eq!(told.died.as_deref(), Some("of the coordinator: Opened"));
    // The one whose record was the last step, and all after it: the deployment goes on.
    assert!(told.opened >= 3 && told.aborted == 0, "{} opened, {} aborted", told.opened, told.aborted);
}

/// The full number.
#[test]
#[ignore = "minutes: cargo xtask campaign"]
fn campaign_of_deaths_at_fault_points() {
    campaign(1_000..1_200, 2);
}
