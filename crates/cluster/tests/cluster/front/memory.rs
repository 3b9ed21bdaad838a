//! What a cluster tells of its memory.

use super::asking::Controlled;
use crate::Test;
use crate::client::{Outcome, ask as request};
use crate::process::{soon, until};

pub(crate) const TESTS: &[Test] = &[
    ("every worker says what it uses, and the primary what is around it", figures),
    ("what a burst used goes back to the system when it is over", burst),
];

fn figures() {
    let cluster = Controlled::ready("controlled");
    let status = cluster.until_status("figures of memory", |status| {
        let workers = status["workers"].as_array().unwrap();
        workers.iter().all(|worker| worker["unique_bytes"] != 0) && status["cluster"]["memory"]["used_bytes"] != 0
    });
    let workers = status["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for worker in workers {
        let bytes = |name: &str| worker[name].as_u64().unwrap_or_else(|| panic!("no {name} in {worker}"));
        assert!(bytes("unique_bytes") <= bytes("proportional_bytes"), "{worker}");
        assert!(bytes("anonymous_bytes") > 0 && bytes("file_bytes") > 0, "{worker}");
        // Control socket, page, listener, epoll, …: a dozen at least.
        assert!((8..200).contains(&bytes("descriptors")), "{worker}");
        if cfg!(target_env = "gnu") {
            assert!(bytes("allocated_bytes") > 0 && bytes("allocated_bytes") <= bytes("active_bytes"), "{worker}");
        }
        assert_eq!(worker["leaks"], 0);
    }
}

fn burst() {
    let mut cluster = Controlled::ready("controlled");
    let Outcome::Ok(worker) = request(cluster.running.address(), "/burst") else { panic!("no answer") };
    let resident = || phalanx_memory::resident_of(worker).unwrap();
    // It comes back some seconds after the answer, and not by itself.
    until(soon(), "the memory of the burst to come back", || (resident() < 48 << 20).then_some(()));
    let retained = cluster.until_status("the figures of giving back", |status| {
        let workers = status["workers"].as_array().unwrap();
        workers.iter().any(|its| its["pid"] == worker && its["retained_bytes"].as_u64() > Some(32 << 20))
    });
    assert_eq!(retained["cluster"]["crashes"], 0);
}
