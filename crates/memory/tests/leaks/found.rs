//! What leaks is found, and soon.

use phalanx_memory::{Leak, Resource};

use crate::random::Random;
use crate::seeds;
use crate::world::{Clients, KIB, Kept, MIB, Traffic, World};

/// Requests that a leak of 1 KiB each may take to be found.
const PROMISED_REQUESTS: u64 = 5000;

/// How long it took at the longest, and an example of the evidence.
fn found(kind: &str, world: impl Fn(&mut Random) -> World) -> u64 {
    let mut longest = 0;
    let mut example: Option<Leak> = None;
    for seed in 0..seeds() {
        let mut random = Random::seeded(seed);
        let world = world(&mut random);
        let Some((leak, requests)) = world.live(100.0, &mut random) else {
            panic!("{kind}, seed {seed}: not found in 100 hours: {world:?}");
        };
        let Some(Kept::Leak { each, .. }) = world.kept.last().copied() else { panic!("{world:?}") };
        assert!((leak.per_work / each - 1.0).abs() < 0.5, "{kind}, seed {seed}: {leak}");
        longest = longest.max(requests);
        example = Some(leak);
    }
    println!("{kind}: after {longest} requests at most; {}", example.unwrap());
    longest
}

#[test]
fn a_leak_of_1_kib_is_found_within_5000_requests_at_any_rate() {
    for rate in [1.0, 10.0, 100.0, 1000.0, 10_000.0] {
        let longest = found(&format!("1 KiB at {rate}/s"), |_| World::leaking(Resource::Memory, KIB, rate));
        assert!(longest <= PROMISED_REQUESTS, "{longest} at {rate}/s");
    }
}

#[test]
fn a_leak_of_16_kib_is_found_among_images_of_some_mib() {
    let longest = found("16 KiB among images", |random| World {
        request_holds: 2.0 * MIB,
        ..World::leaking(Resource::Memory, 16.0 * KIB, random.of_any_size(1.0, 1000.0))
    });
    assert!(longest <= 20_000, "{longest}");
}

#[test]
fn a_leak_of_64_bytes_is_found_in_some_ten_thousand_requests() {
    let longest = found("64 B", |random| World::leaking(Resource::Memory, 64.0, random.of_any_size(1.0, 10_000.0)));
    assert!(longest <= 100_000, "{longest}");
}

#[test]
fn a_leak_under_waves_and_bursts_is_found() {
    let longest = found("1 KiB, varying", |random| World {
        clients: random.one_of(&[Clients::Steady(16.0), Clients::Varying(50.0)]),
        traffic: random.one_of(&[Traffic::Bursts(500.0), Traffic::Waves { most: 100.0, seconds: 3600.0 }]),
        ..World::leaking(Resource::Memory, KIB, 1.0)
    });
    assert!(longest <= 20_000, "{longest}");
}

#[test]
fn a_leak_among_tens_of_mib_in_work_is_found_when_it_stands_out() {
    found("1 KiB among images", |random| World {
        request_holds: 30.0 * MIB,
        noise: 5.0 * MIB,
        ..World::leaking(Resource::Memory, KIB, random.of_any_size(1.0, 1000.0))
    });
}

#[test]
fn a_leak_that_begins_after_a_million_requests_is_found_as_soon() {
    const FROM: u64 = 1_000_000;
    let longest = found("1 KiB, late", |_| World {
        kept: vec![Kept::Leak { each: KIB, from: FROM }],
        ..World::leaking(Resource::Memory, KIB, 2000.0)
    });
    assert!(longest <= FROM + 2 * PROMISED_REQUESTS, "{longest}");
}

#[test]
fn a_leak_beside_a_cache_that_fills_is_found() {
    let longest = found("1 KiB beside a cache", |random| World {
        kept: vec![
            Kept::Fills { size: 64.0 * MIB, requests: random.of_any_size(100.0, 3000.0) },
            Kept::Leak { each: KIB, from: 0 },
        ],
        ..World::leaking(Resource::Memory, KIB, 100.0)
    });
    assert!(longest <= 100_000, "{longest}");
}

#[test]
fn descriptors_that_stay_open_are_found() {
    for (requests, within) in [(10.0, PROMISED_REQUESTS), (100.0, 20_000), (1000.0, 200_000)] {
        let longest = found(&format!("1 descriptor per {requests} requests"), |random| {
            World::leaking(Resource::Descriptors, 1.0 / requests, random.of_any_size(1.0, 10_000.0))
        });
        assert!(longest <= within, "{longest} for one per {requests}");
    }
}
