//! A worker that is made up: its requests, its connections, what they hold, and how it is looked at.

use std::time::{Duration, Instant};

use phalanx_memory::{Leak, LeakDetector, Resource, Sample};

use crate::random::Random;

pub(crate) const KIB: f64 = 1024.0;
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// How many requests come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Traffic {
    /// So many a second.
    Steady(f64),
    /// So many a second in one second of ten, none else.
    Bursts(f64),
    /// Up to so many, up and down in so many seconds.
    Waves { most: f64, seconds: f64 },
}

/// How many clients are connected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clients {
    /// Always as many, each with one request at a time at most.
    Steady(f64),
    /// One more every so many seconds, and none ever leaves.
    OnlyMore(f64),
    /// They come and go.
    Varying(f64),
}

/// What is kept, by right or not, after so much work.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    /// Wrongly: so much for each request, from that one on.
    Leak { each: f64, from: u64 },
    /// A cache of this size: after so many requests it is full but for a third.
    Fills { size: f64, requests: f64 },
    /// A cache of this size which takes so much for each request until it is full.
    FillsEvenly { size: f64, each: f64 },
    /// So much at once, when so many requests have come, and again when they have doubled: a table that grows.
    Doubles { size: f64, at: f64 },
    /// So much for each request, all of it freed each time so many have come.
    SawTooth { each: f64, every: u64 },
}

/// A worker.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) resource: Resource,
    pub(crate) traffic: Traffic,
    pub(crate) clients: Clients,
    /// What a request holds while it is under way, and a connection as long as it is open.
    pub(crate) request_holds: f64,
    pub(crate) connection_holds: f64,
    /// What comes and goes with nothing: deviation, and how many seconds it lasts.
    pub(crate) noise: f64,
    pub(crate) noise_seconds: f64,
    pub(crate) kept: Vec<Kept>,
}

/// Looks: each 100 requests while requests flow, but at least 5 ms apart; each second else.
const LOOK_WORK: f64 = 100.0;
const LOOK_SECONDS: std::ops::RangeInclusive<f64> = 0.005..=1.0;

/// Seconds that a request takes.
const SERVICE_SECONDS: f64 = 0.02;

impl World {
    /// Nothing leaks; all else is by chance.
    pub(crate) fn sound(random: &mut Random) -> World {
        let rate = random.of_any_size(0.1, 10_000.0);
        let clients = random.of_any_size(1.0, 1000.0);
        // Much for moments, or some for minutes.
        let (noise, noise_seconds) = match random.one_of(&[0, 1]) {
            0 => (random.of_any_size(10.0 * KIB, 10.0 * MIB), random.of_any_size(0.01, 1.0)),
            _ => (random.of_any_size(10.0 * KIB, MIB), random.of_any_size(1.0, 300.0)),
        };
        World {
            resource: Resource::Memory,
            traffic: random.one_of(&[
                Traffic::Steady(rate),
                Traffic::Bursts(rate),
                Traffic::Waves { most: rate, seconds: 86_400.0 },
                Traffic::Waves { most: rate, seconds: 600.0 },
            ]),
            clients: random.one_of(&[Clients::Steady(clients), Clients::OnlyMore(5.0), Clients::Varying(clients)]),
            request_holds: random.of_any_size(10.0 * KIB, 60.0 * MIB),
            connection_holds: random.of_any_size(4.0 * KIB, 64.0 * KIB),
            noise,
            noise_seconds,
            kept: Vec::new(),
        }
    }

    /// A quiet worker at this rate that leaks so much for each request.
    pub(crate) fn leaking(resource: Resource, each: f64, rate: f64) -> World {
        let descriptors = resource == Resource::Descriptors;
        World {
            resource,
            traffic: Traffic::Steady(rate),
            clients: Clients::Steady(16.0),
            request_holds: if descriptors { 1.0 } else { 20.0 * KIB },
            connection_holds: if descriptors { 1.0 } else { 20.0 * KIB },
            noise: if descriptors { 0.5 } else { 50.0 * KIB },
            noise_seconds: 1.0,
            kept: vec![Kept::Leak { each, from: 0 }],
        }
    }

    /// Lives until the detector has found something, or for so long; with the evidence, the requests that it took.
    pub(crate) fn live(&self, hours: f64, random: &mut Random) -> Option<(Leak, u64)> {
        let mut detector = LeakDetector::new(self.resource);
        let (began, mut second, mut begun, mut noise) = (Instant::now(), 0.0, 0.0, 0.0);
        while second < hours * 3600.0 {
            let rate = self.traffic.rate(second);
            let pause = (LOOK_WORK / rate.max(1e-9)).clamp(*LOOK_SECONDS.start(), *LOOK_SECONDS.end());
            second += pause;
            begun += rate * pause;
            let fading = (-pause / self.noise_seconds).exp();
            noise = noise * fading + self.noise * (1.0 - fading * fading).sqrt() * random.normal();
            let connections = self.clients.connected(second, random);
            let under_way = (rate * SERVICE_SECONDS * random.between(0.0, 2.0)).min(connections).round();
            let holds = (0..under_way.min(20.0) as u32).map(|_| random.between(0.0, 2.0)).sum::<f64>();
            let holds = holds * (under_way / under_way.clamp(1.0, 20.0)) * self.request_holds;
            let kept: f64 = self.kept.iter().map(|kept| kept.after(begun as u64)).sum();
            let base = if self.resource == Resource::Memory { 30.0 * MIB } else { 20.0 };
            let value = base + kept + holds + connections * self.connection_holds + noise;
            let sample = Sample {
                at: began + Duration::from_secs_f64(second),
                work: begun as u64,
                load: (under_way + connections) as u64,
                value: value.max(0.0) as u64,
            };
            if let Some(leak) = detector.add(sample) {
                return Some((leak, begun as u64));
            }
        }
        None
    }
}

impl Traffic {
    fn rate(self, second: f64) -> f64 {
        match self {
            Traffic::Steady(rate) => rate,
            Traffic::Bursts(rate) if second % 10.0 < 1.0 => rate,
            Traffic::Bursts(_) => 0.0,
            Traffic::Waves { most, seconds } => most * (1.0 - (second / seconds * std::f64::consts::TAU).cos()) / 2.0,
        }
    }
}

impl Clients {
    fn connected(self, second: f64, random: &mut Random) -> f64 {
        match self {
            Clients::Steady(clients) => clients.round(),
            Clients::OnlyMore(seconds) => (second / seconds).ceil(),
            Clients::Varying(most) => random.between(0.0, most).round(),
        }
    }
}

impl Kept {
    fn after(self, work: u64) -> f64 {
        match self {
            Kept::Leak { each, from } => (each * work.saturating_sub(from) as f64).floor(),
            Kept::Fills { size, requests } => size * (1.0 - (-(work as f64) / requests).exp()),
            Kept::FillsEvenly { size, each } => (each * work as f64).min(size),
            Kept::Doubles { size, at } => size * (work as f64 / at).log2().floor().max(-1.0).exp2().floor(),
            Kept::SawTooth { each, every } => each * (work % every) as f64,
        }
    }
}
