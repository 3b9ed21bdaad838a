//! What a job process does as long as it lives.

use phalanx_process::Sandbox;
use phalanx_task::{Blob, TaskError};

use super::Test;
use super::office::{Does, Echo, Office};

pub(crate) const TESTS: &[Test] = &[
    ("a_job_process_says_who_it_is_and_what_it_is_denied_before_any_job", says_who_it_is),
    ("blobs_of_every_size_go_there_and_back_in_the_sandbox", blobs),
    ("what_a_task_prints_disturbs_nothing", printing),
    ("memory_of_a_large_blob_is_given_back", memory),
    ("a_panic_is_an_error_and_the_process_goes_on", panics),
];

fn says_who_it_is() {
    let mut office = Office::open();
    assert_eq!(office.hello.pid, office.process.pid());
    assert_eq!(office.hello.tasks, ["does", "echo"]);
    assert_eq!(office.hello.confinement.level, Sandbox::Full);
    let words = office.run(&Does::TellWhereItIs).unwrap();
    let expected = format!("{} {} ", office.process.pid(), std::process::id());
    assert!(words.starts_with(&expected), "{words}");
    if office.hello.confinement.is_complete() {
        assert!(words.ends_with("Err(PermissionDenied)"), "{words}");
    } else {
        println!("skipped: this kernel has not the whole sandbox");
    }
    let free = Office::with(|role| role);
    assert_eq!(free.hello.confinement.level, Sandbox::None);
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

fn blobs() {
    let mut office = Office::open();
    for bytes in [0, 1, 4096, 4097, 65_536, 1 << 20, 100 << 20] {
        let blobs = vec![Blob::from(pattern(bytes)), Blob::from(pattern(5)), Blob::from(pattern(5000))];
        let value = pattern(bytes.min(1 << 20));
        let (back, blobs_back) = office.run(&Echo(value.clone(), blobs.clone())).unwrap();
        assert!(back == value && blobs_back == blobs, "{bytes} bytes");
    }
    assert_eq!((office.desk.lent(), office.desk.len()), (0, 0));
}

fn printing() {
    let mut office = Office::open();
    for _ in 0..100 {
        let text = "x".repeat(10_000);
        assert_eq!(office.run(&Does::Print(text.clone())).unwrap(), text);
    }
}

/// Pages of shared memory that a process has mapped and touched, in KiB.
fn shared_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssShmem")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn memory() {
    let mut office = Office::open();
    let large = Echo(vec![], vec![Blob::from(vec![1; 100 << 20])]);
    for _ in 0..3 {
        let (_, blobs) = office.run(&large).unwrap();
        assert_eq!(blobs[0].len(), 100 << 20);
    }
    let kib = shared_kib(office.process.pid());
    assert!(kib <= 20 * 1024, "{kib} KiB of inputs stay mapped");
}

fn panics() {
    let mut office = Office::open();
    match office.run(&Does::Panic) {
        Err(TaskError::Panicked { message, location: Some(location) }) => {
            assert!(message == "as I was told" && location.contains("office.rs"), "{message} at {location}");
        }
        other => panic!("{other:?}"),
    }
    office.run(&Does::TellWhereItIs).unwrap();
}
