//! Heap profiles of a real process: who holds what, by name, in Rust and in C.

#![allow(clippy::unwrap_used)]

use phalanx_memory::profile;

#[cfg(not(feature = "heap-profile"))]
#[test]
fn without_the_feature_every_call_says_how_to_get_it() {
    assert!(!profile::is_available() && !profile::is_on());
    for refused in [profile::start(), profile::stop(), profile::pprof().map(drop), profile::flame_graph().map(drop)] {
        assert!(refused.unwrap_err().to_string().contains("--features heap-profile"));
    }
}

#[cfg(feature = "heap-profile")]
mod built_in {
    use std::collections::HashMap;
    use std::hint::black_box;
    use std::io::Read;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::profile;

    #[global_allocator]
    static ALLOCATOR: phalanx_memory::Allocator = phalanx_memory::Allocator;

    const MIB: usize = 1 << 20;

    /// Sampling is a property of the process: one test at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(never)]
    fn planted_in_rust(bytes: usize) -> Vec<Vec<u8>> {
        (0..bytes / 4096).map(|_| black_box(vec![1; 4096])).collect()
    }

    #[inline(never)]
    fn planted_in_c(bytes: usize) -> *mut libc::c_void {
        // SAFETY: freed by `free_in_c`.
        black_box(unsafe { libc::malloc(bytes) })
    }

    fn free_in_c(memory: *mut libc::c_void) {
        // SAFETY: it comes from `planted_in_c`, once.
        unsafe { libc::free(memory) };
    }

    #[test]
    fn what_rust_and_c_hold_shows_by_name_and_size_in_pprof_and_in_the_picture() {
        let _alone = alone();
        profile::start().unwrap();
        assert!(profile::is_available() && profile::is_on());
        let rust = planted_in_rust(64 * MIB);
        let c = planted_in_c(32 * MIB);
        let freed = planted_in_rust(16 * MIB);
        drop(freed);
        let taken = profile::take().unwrap();
        drop(rust);
        free_in_c(c);
        let after = profile::take().unwrap();
        profile::stop().unwrap();

        // 64 MiB in 128 samples: the standard error is 9 %, so five of them.
        let held = Pprof::read(&taken.to_pprof());
        let in_rust = held.bytes_through("planted_in_rust");
        assert!((35 * MIB as u64..93 * MIB as u64).contains(&in_rust), "{in_rust}");
        // One allocation of 32 MiB is sampled for certain.
        let in_c = held.bytes_through("planted_in_c");
        assert!((31 * MIB as u64..34 * MIB as u64).contains(&in_c), "{in_c}");
        assert_eq!(held.total(), taken.bytes());
        assert!(taken.samples() > 30, "{}", taken.samples());
        let innermost_is_ours = held.leaf_of("planted_in_c");
        assert!(
            innermost_is_ours.contains("planted_in_c"),
            "the allocator's own functions are left out: {innermost_is_ours}"
        );

        let picture = String::from_utf8(taken.to_flame_graph("<test>")).unwrap();
        assert!(picture.starts_with("<svg ") && picture.contains("&lt;test&gt;: "));
        assert!(picture.contains("planted_in_rust") && picture.contains("planted_in_c"));

        assert_eq!(Pprof::read(&after.to_pprof()).bytes_through("planted_in"), 0, "what is freed is gone");
    }

    #[test]
    fn sampling_that_is_off_is_said_and_what_was_sampled_before_is_forgotten() {
        let _alone = alone();
        assert!(matches!(profile::take(), Err(profile::Error::Off)));
        profile::start().unwrap();
        let held = planted_in_rust(16 * MIB);
        profile::stop().unwrap();
        assert!(matches!(profile::pprof(), Err(profile::Error::Off)));
        profile::start().unwrap();
        assert_eq!(Pprof::read(&profile::pprof().unwrap()).bytes_through("planted_in_rust"), 0);
        profile::stop().unwrap();
        drop(held);
    }

    #[test]
    fn profiles_are_taken_while_eight_threads_allocate_and_threads_end() {
        let _alone = alone();
        profile::start().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        std::thread::scope(|short| drop(short.spawn(|| planted_in_rust(2 * MIB)).join().unwrap()));
                    }
                });
            }
            for _ in 0..8 {
                let taken = profile::take().unwrap();
                Pprof::read(&taken.to_pprof());
            }
            done.store(true, Ordering::Relaxed);
        });
        profile::stop().unwrap();
    }

    /// As much of a profile as is tested, read as its format describes.
    struct Pprof {
        /// Functions of each sample, the innermost first, and its bytes.
        samples: Vec<(Vec<String>, u64)>,
    }

    impl Pprof {
        fn read(gzip: &[u8]) -> Pprof {
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(gzip).read_to_end(&mut bytes).unwrap();
            let fields = fields(&bytes);
            let all = |number| fields.iter().filter(move |field| field.0 == number).map(|field| &field.2[..]);
            let strings: Vec<String> = all(6).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
            assert_eq!(strings[0], "");
            let name = |index: u64| strings[index as usize].clone();
            let types: Vec<String> = all(1).map(|kind| name(number(kind, 1))).collect();
            assert_eq!(types, ["inuse_objects", "inuse_space"]);
            let functions: HashMap<u64, String> = all(5).map(|its| (number(its, 1), name(number(its, 2)))).collect();
            let locations: HashMap<u64, Vec<String>> = all(4)
                .map(|its| {
                    let lines = self::fields(its).into_iter().filter(|field| field.0 == 4);
                    (number(its, 1), lines.map(|line| functions[&number(&line.2, 1)].clone()).collect())
                })
                .collect();
            let samples = all(2).map(|its| {
                let places = numbers(its, 1).into_iter().flat_map(|place| locations[&place].clone()).collect();
                (places, numbers(its, 2)[1])
            });
            Pprof { samples: samples.collect() }
        }

        fn total(&self) -> u64 {
            self.samples.iter().map(|(_, bytes)| bytes).sum()
        }

        fn through<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a (Vec<String>, u64)> {
            self.samples.iter().filter(move |(stack, _)| stack.iter().any(|name| name.contains(function)))
        }

        fn bytes_through(&self, function: &str) -> u64 {
            self.through(function).map(|(_, bytes)| bytes).sum()
        }

        fn leaf_of<'a>(&'a self, function: &'a str) -> &'a str {
            &self.through(function).next().unwrap().0[0]
        }
    }

    /// Number, value if it is one, bytes if it is those.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            match key & 7 {
                0 => fields.push((key >> 3, varint(&mut bytes), Vec::new())),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    fields.push((key >> 3, 0, bytes[..length].to_vec()));
                    bytes = &bytes[length..];
                }
                other => panic!("a field of kind {other}"),
            }
        }
        fields
    }

    fn number(message: &[u8], field: u64) -> u64 {
        fields(message).into_iter().find(|its| its.0 == field).map_or(0, |its| its.1)
    }

    fn numbers(message: &[u8], field: u64) -> Vec<u64> {
        let packed = fields(message).into_iter().find(|its| its.0 == field).unwrap().2;
        let mut rest = &packed[..];
        std::iter::from_fn(|| (!rest.is_empty()).then(|| varint(&mut rest))).collect()
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
}
