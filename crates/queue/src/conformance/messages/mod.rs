//! The messages half: [`Broker`](crate::Broker).

mod carrying;
mod dead;
mod fixture;
mod lifetime;
mod limits;
mod queues;
mod replies;
mod runtimes;
mod settling;
mod sharing;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use super::Report;
use crate::{Capability, Queue};

/// How a broker is reached and what it promises beyond its capabilities.
pub trait Harness: Sync {
    /// A new connection to the same broker.
    fn connect(&self) -> Queue;

    /// Whether it promises this too.
    fn has(&self, power: Power) -> bool;

    /// How many messages beyond its bound a queue may take.
    fn most_over(&self) -> u64 {
        0
    }
}

/// What some brokers promise with messages, and others cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Power {
    /// One consumer gets messages in the order in which one sender sent them.
    Order,
    /// [`Delivery::attempt`](crate::Delivery::attempt) counts.
    CountsDeliveries,
    /// Two consumers share a queue message by message, however few there are.
    Shares,
    /// A queue that nobody declared is an error.
    KnowsItsQueues,
    /// Declaring a queue with other properties is an error.
    Mismatch,
    /// A message of an id that was sent before is not taken again.
    KnowsIds,
}

/// One promise, and the code that tries to break it.
struct Case<H> {
    name: &'static str,
    needs: &'static [Need],
    run: fn(&H),
}

/// What a case asks of its broker.
enum Need {
    Can(Capability),
    Has(Power),
}

/// Runs all cases whose names contain `wanted`, and prints a line for each.
pub fn run<H: Harness>(broker: &str, harness: &H, wanted: &str) -> Report {
    let areas = [
        carrying::cases(),
        settling::cases(),
        dead::cases(),
        limits::cases(),
        sharing::cases(),
        queues::cases(),
        replies::cases(),
        lifetime::cases(),
        runtimes::cases(),
    ];
    let queue = harness.connect();
    let mut report = Report::default();
    for Case { name, needs, run } in areas.into_iter().flatten().filter(|case| case.name.contains(wanted)) {
        let promised = needs.iter().all(|need| match need {
            Need::Can(capability) => queue.broker().can(*capability),
            Need::Has(power) => harness.has(*power),
        });
        if !promised {
            println!("test {broker}: {name} ... not promised");
            continue;
        }
        let begun = Instant::now();
        let kept = std::panic::catch_unwind(AssertUnwindSafe(|| run(harness))).is_ok();
        let word = if kept { "ok" } else { "FAILED" };
        println!("test {broker}: {name} ... {word} ({} ms)", begun.elapsed().as_millis());
        if kept { &mut report.passed } else { &mut report.failed }.push(name);
    }
    report
}

/// Lists the cases of a file, each with what it needs.
macro_rules! cases {
    ($($function:ident [$($need:expr),*]),* $(,)?) => {
        #[allow(unused_imports)]
        pub(super) fn cases<H: $crate::conformance::messages::Harness>() -> Vec<$crate::conformance::messages::Case<H>> {
            use $crate::Capability::*;
            use $crate::conformance::messages::Need::{Can, Has};
            use $crate::conformance::messages::Power::*;
            vec![$($crate::conformance::messages::Case {
                name: stringify!($function),
                needs: &[$($need),*],
                run: $function::<H>,
            }),*]
        }
    };
}
use cases;
