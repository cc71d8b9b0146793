//! The emergency stop in the middle of a round.

use std::path::Path;
use std::time::Duration;

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::models;
use quorate_coordinator::strongroom::Cover;

use crate::coordinator::{LONG, succeed};
use crate::copies::{PATIENT, World};
use crate::evidence::{opened, transcript};
use crate::process::quorate;
use crate::synthetic::PARTIES;

/// The round under way is aborted, nobody is served and nothing begins; unsealed, the deployment goes on.
#[test]
fn a_seal_ends_the_round_and_unsealed_rounds_go_on() {
    let mut world = World::new(PATIENT);
    world.open_more(1);
    let folder = world.root.path().join("coordinator");
    let round = world.waiting_round();
    let order = |what: &str| {
        let mut order = quorate();
        order.args(["coordinator", what, "--config"]).arg(folder.join("coordinator.toml"));
        order
    };
    succeed(&mut order("seal"));
    let status = world.coordinator.status().unwrap();
    assert!(status["why"].as_str().unwrap().starts_with("sealed"), "{status}");
    assert!(status["current"].is_null() && status["ready"] == false && status["connected"] == 0, "{status}");
    let begun = |world: &mut World| world.coordinator.process().said().matches("\"round_begun\"").count();
    let before = begun(&mut world);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(begun(&mut world), before, "a round begins under seal");
    let unlock = format!("file:{}", world.root.path().join("coordinator.unlock").display());
    succeed(order("unseal").args(["--from", &unlock]));
    world.devices[PARTIES - 1].start("0");
    world.open_more(2);
    assert!(world.coordinator.process().terminate(LONG).success());
    let entries = transcript(&folder);
    assert!(entries.iter().any(|entry| entry.round == round) && !opened(&entries).contains(&round));
    assert_no_plain_model(&folder);
    assert!(world.coordinator.start("0"));
    assert!(world.end().opened >= 3);
}

/// No file of the coordinator has a piece of a model or of a mean, but the results that are to be had there.
fn assert_no_plain_model(folder: &Path) {
    let environment = Environment::of_process();
    let config = Config::load(&folder.join("coordinator.toml"), &environment).unwrap();
    let cover = Cover::look(&config, &environment).unwrap();
    let newest = opened(&transcript(folder)).len() as u64;
    let model = models::stored(&config.models(), &cover, ("main", newest)).unwrap().unwrap();
    let piece = &model[model.len() - 64..];
    assert!(piece.iter().any(|byte| *byte != piece[0]), "a piece that is everywhere");
    let mut files = vec![folder.to_owned()];
    let mut searched = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(64).any(|window| window == piece), "{}", path.display());
            searched += 1;
        }
    }
    assert!(searched > 10, "{searched} files");
}
