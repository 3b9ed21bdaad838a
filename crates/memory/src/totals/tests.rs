use proptest::prelude::*;

use super::*;
use crate::files::Written;

const V2_MOUNT: &str = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1_MOUNT: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
const MIB: u64 = 1 << 20;
const MACHINE: MachineMemory = MachineMemory { total: 1024 * MIB, available: Some(900 * MIB) };

fn totals_of(files: &Written) -> Totals {
    read(files, &cgroup::levels(files, "memory"), MACHINE)
}

#[test]
fn what_is_used_is_read_where_the_smallest_limit_is_and_free_is_the_tightest_of_all() {
    let totals = totals_of(&Written(&[
        ("/proc/self/cgroup", "0::/pod/us\n"),
        ("/proc/self/mountinfo", V2_MOUNT),
        ("/sys/fs/cgroup/pod/us/memory.max", "268435456\n"),
        ("/sys/fs/cgroup/pod/us/memory.current", "104857600\n"),
        ("/sys/fs/cgroup/pod/us/memory.stat", "anon 1\ninactive_file 20971520\nactive_file 10485760\n"),
        ("/sys/fs/cgroup/pod/us/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
        (
            "/sys/fs/cgroup/pod/us/memory.pressure",
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=9\nfull avg10=0.50 avg60=0.12 avg300=0.00 total=4\n",
        ),
        // The pod as a whole has nearly reached its limit, by what others do.
        ("/sys/fs/cgroup/pod/memory.max", "536870912\n"),
        ("/sys/fs/cgroup/pod/memory.current", "524288000\n"),
    ]));
    assert_eq!(totals.limit, Limit { bytes: 256 * MIB, source: Source::CgroupV2("/sys/fs/cgroup/pod/us".into()) });
    assert_eq!(totals.used, Some(80 * MIB));
    assert_eq!(totals.free, Some(12 * MIB));
    assert_eq!(totals.out_of_memory_kills, Some(2));
    let pressure = totals.pressure.unwrap();
    assert_eq!((pressure.some.ten_seconds, pressure.some.minute), (1.5, 0.25));
    assert_eq!((pressure.full.ten_seconds, pressure.full.minute), (0.5, 0.12));
}

#[test]
fn version_1_counts_all_processes_below_and_half_of_the_active_cache_is_free() {
    let totals = totals_of(&Written(&[
        ("/proc/self/cgroup", "4:memory:/job\n0::/\n"),
        ("/proc/self/mountinfo", V1_MOUNT),
        ("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "268435456\n"),
        ("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "209715200\n"),
        (
            "/sys/fs/cgroup/memory/job/memory.stat",
            "inactive_file 1\ntotal_inactive_file 52428800\ntotal_active_file 41943040\n",
        ),
        ("/sys/fs/cgroup/memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("/proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"),
    ]));
    assert_eq!((totals.limit.bytes, totals.used, totals.free), (256 * MIB, Some(150 * MIB), Some(126 * MIB)));
    assert_eq!(totals.out_of_memory_kills, Some(1));
    assert_eq!(totals.pressure, Some(Pressure::default()));
}

#[test]
fn without_a_limit_it_is_the_machine() {
    let totals = totals_of(&Written(&[]));
    assert_eq!(totals.limit, Limit { bytes: 1024 * MIB, source: Source::Machine });
    assert_eq!((totals.used, totals.free), (Some(124 * MIB), Some(900 * MIB)));
    assert_eq!((totals.pressure, totals.out_of_memory_kills), (None, None));
}

#[test]
fn where_nothing_can_be_read_the_limit_still_stands() {
    let totals = read(&Written(&[]), &[], MachineMemory { total: 5, available: None });
    assert_eq!((totals.limit.bytes, totals.used, totals.free), (5, None, None));
    let only_the_limit = Written(&[("/sys/fs/cgroup/memory.max", "1000\n")]);
    let totals = totals_of(&only_the_limit);
    assert_eq!((totals.limit.bytes, totals.used, totals.free), (1000, None, Some(900 * MIB)));
}

#[test]
fn this_machine_says_how_much_is_used() {
    let totals = super::totals();
    assert_eq!(totals.limit, crate::total());
    assert!(totals.used.is_some_and(|used| used > 0), "{totals:?}");
    assert!(totals.free.is_some_and(|free| free <= totals.limit.bytes), "{totals:?}");
}

proptest! {
    #[test]
    fn no_text_makes_a_number_that_is_not_there(text in "(some|full|oom_kill|inactive_file| |=|avg10|avg60|[0-9.-]|\\PC|\n){0,40}") {
        if let Some(pressure) = text::parse_pressure(&text) {
            prop_assert!((0.0..=100.0).contains(&pressure.some.ten_seconds));
            prop_assert!((0.0..=100.0).contains(&pressure.full.minute));
        }
        if let Some(number) = text::keyed(&text, "oom_kill") {
            prop_assert!(text.contains(&number.to_string()));
        }
    }

    #[test]
    fn whatever_the_files_say_nothing_is_more_than_the_machine_has(limit: u64, current: u64, inactive: u64, active: u64) {
        let files = Imagined(limit, current, inactive, active);
        let totals = read(&files, &[Level { version: Version::V2, folder: "/g".into() }], MACHINE);
        prop_assert!(totals.limit.bytes <= MACHINE.total);
        prop_assert!(totals.free <= MACHINE.available);
    }
}

struct Imagined(u64, u64, u64, u64);

impl Files for Imagined {
    fn read(&self, path: &Path) -> Option<String> {
        let Imagined(limit, current, inactive, active) = self;
        match path.file_name()?.to_str()? {
            "memory.max" => Some(format!("{limit}\n")),
            "memory.current" => Some(format!("{current}\n")),
            "memory.stat" => Some(format!("inactive_file {inactive}\nactive_file {active}\n")),
            _ => None,
        }
    }
}
