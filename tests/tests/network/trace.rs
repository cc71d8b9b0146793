//! A rotation under one id, from the order to the last party that has the new key (J6, G7).

use std::collections::BTreeSet;

use quorate_coordinator::keeper::Order;
use quorate_keys::state::State;

use crate::keeper::{give, id, order, told};
use crate::logs::{capture, said};
use crate::world::{Options, World};

/// The coordinator's next key waits for a second.
const SOON: &str = "[class.coordinator]\npropagation_time = \"1s\"\n";

/// J6: an order to rotate the coordinator's key. Every hop names the order: that it was carried out, the key made, the list that
/// announces it, each party that has that list, the key in force, the list that hands over, each party again; and the log
/// names it, too. Nothing that the policy does bears its name.
#[tokio::test(flavor = "multi_thread")]
async fn j6_a_rotation_is_traced_to_the_last_party() {
    capture();
    let mut world = World::start(Options { rounds: 1, keys: Some(SOON), ..Options::default() }).await;
    let running = world.crowd(6).await;
    world.finished().await;
    let rotate = order(&world, Order::Rotate { line: "coordinator/identity".parse().unwrap() }, 0);
    let trace = rotate.digest().unwrap();
    let hops = |event: &str| {
        let mark = format!("event=\"{event}\" trace={trace}");
        said(&mark).into_iter().map(|line| line.split_once(&mark).unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(give(&world, &rotate).await, "done");
    world.become_so(|| hops("list_everywhere").len() == 2).await;

    assert_eq!(hops("order_ended").len(), 1);
    assert_eq!(hops("key_changed").len(), 2, "{:?}", hops("key_changed"));
    assert!(hops("key_changed").iter().all(|hop| hop.contains("coordinator/identity@2")));
    let published = hops("list_sent");
    assert!(published.len() == 2 && published.iter().all(|hop| hop.contains("parties=6")), "{published:?}");
    let reached: BTreeSet<String> = hops("list_reached").into_iter().collect();
    assert_eq!(reached.len(), 12, "two lists, six parties: {reached:?}");
    // In this order.
    let all = said(&trace.to_string());
    let place = |event: &str| all.iter().position(|line| line.contains(event)).unwrap();
    let order = ["order_ended", "key_changed", "list_sent", "list_reached", "list_everywhere"].map(place);
    assert!(order.is_sorted(), "{all:?}");
    for hop in hops("list_everywhere") {
        println!("everybody has it: {hop}");
    }
    // The next one is the policy's.
    let old = world.node.tally().spread.total();
    assert!(old >= 2);
    let by_policy: Vec<String> = said("event=\"list_sent\"");
    assert!(by_policy.iter().any(|line| !line.contains(&trace.to_string())), "{by_policy:?}");

    running.iter().for_each(tokio::task::JoinHandle::abort);
    world.stop().await;
    let told = told(world.folder.path(), &world);
    assert!(told.orders.contains(&trace));
    assert_eq!(told.inventory.key(&id("coordinator/identity@2")).unwrap().state, State::Active);
}
