//! What is no leak raises no alarm.

use phalanx_memory::Resource;

use crate::random::Random;
use crate::seeds;
use crate::world::{Clients, KIB, Kept, MIB, Traffic, World};

fn nobody_is_suspected(kind: &str, world: impl Fn(&mut Random) -> World) {
    nobody_is_suspected_for(1.0, seeds(), kind, world);
}

/// So many workers live so many hours each.
fn nobody_is_suspected_for(hours: f64, workers: u64, kind: &str, world: impl Fn(&mut Random) -> World) {
    let alarms: Vec<String> = (0..workers)
        .filter_map(|seed| {
            let mut random = Random::seeded(seed);
            let world = world(&mut random);
            let (leak, _) = world.live(hours, &mut random)?;
            Some(format!("seed {seed}: {leak}\n  in {world:?}"))
        })
        .collect();
    println!("{kind}: {} false alarms in {} hours", alarms.len(), workers as f64 * hours);
    assert!(alarms.is_empty(), "{kind}: {alarms:#?}");
}

#[test]
fn a_sound_worker_is_not_suspected_whatever_its_traffic_and_its_noise() {
    nobody_is_suspected("sound", World::sound);
}

#[test]
fn days_that_are_busy_and_nights_that_are_not_are_no_leak() {
    nobody_is_suspected_for(72.0, seeds().div_ceil(20), "days and nights", |random| World {
        traffic: Traffic::Waves { most: random.of_any_size(1.0, 60.0), seconds: 86_400.0 },
        ..World::sound(random)
    });
}

#[test]
fn connections_that_only_become_more_are_no_leak() {
    nobody_is_suspected("more connections", |random| World {
        clients: Clients::OnlyMore(random.of_any_size(0.5, 60.0)),
        ..World::sound(random)
    });
}

#[test]
fn a_cache_that_levels_off_within_4000_requests_is_no_leak_however_large_it_is() {
    nobody_is_suspected("filling cache", |random| {
        let fills =
            Kept::Fills { size: random.of_any_size(1.0, 500.0) * MIB, requests: random.of_any_size(10.0, 4000.0) };
        World { kept: vec![fills], ..World::sound(random) }
    });
}

#[test]
fn a_cache_of_one_and_a_half_mib_is_no_leak_however_it_fills() {
    nobody_is_suspected("small cache", |random| {
        let size = random.between(0.1, 1.5) * MIB;
        let evenly = Kept::FillsEvenly { size, each: random.of_any_size(16.0, 16.0 * KIB) };
        World { kept: vec![evenly], noise: 20.0 * KIB, request_holds: 10.0 * KIB, ..World::sound(random) }
    });
}

#[test]
fn an_even_cache_is_at_most_suspected_before_it_is_full() {
    for seed in 0..seeds() {
        let mut random = Random::seeded(seed);
        let (size, each) = (random.between(2.0, 64.0) * MIB, random.of_any_size(64.0, 16.0 * KIB));
        let world = World { kept: vec![Kept::FillsEvenly { size, each }], ..World::sound(&mut random) };
        if let Some((leak, requests)) = world.live(1.0, &mut random) {
            assert!(
                each * requests as f64 <= size * 1.25,
                "seed {seed}, after {requests} requests: {leak}\n  in {world:?}"
            );
        }
    }
}

#[test]
fn large_allocations_that_stay_are_no_leak() {
    nobody_is_suspected("large allocations", |random| {
        let doubles = Kept::Doubles { size: random.of_any_size(1.0, 30.0) * MIB, at: random.of_any_size(1.0, 1e6) };
        World { kept: vec![doubles], ..World::sound(random) }
    });
}

#[test]
fn what_is_freed_every_2000_requests_is_no_leak() {
    nobody_is_suspected("saw-tooth", |random| {
        let every = random.of_any_size(10.0, 2000.0) as u64;
        let tooth = Kept::SawTooth { each: random.of_any_size(64.0, 64.0 * KIB), every };
        World { kept: vec![tooth], ..World::sound(random) }
    });
}

#[test]
fn descriptors_of_a_sound_worker_are_no_leak() {
    nobody_is_suspected("descriptors", |random| World {
        resource: Resource::Descriptors,
        request_holds: random.between(0.0, 3.0),
        connection_holds: 1.0,
        noise: random.between(0.0, 20.0),
        ..World::sound(random)
    });
}
