//! [`HeapProfile`]: stacks with names, and what lives of what they allocated.

use std::collections::HashMap;
use std::time::SystemTime;

use super::dump::{Dump, RawStack};
use super::modules::Modules;
use super::symbols::{Line, Symbols};

/// What lives, by the stacks that allocated it.
#[derive(Debug)]
pub struct HeapProfile {
    pub(super) interval: u64,
    pub(super) taken: SystemTime,
    pub(super) modules: Modules,
    pub(super) places: Vec<Place>,
    pub(super) stacks: Vec<Stack>,
}

/// A place in the program.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) address: u64,
    /// Index of the mapping.
    pub(super) module: Option<usize>,
    /// The innermost first; never none.
    pub(super) lines: Vec<Line>,
}

#[derive(Debug)]
pub(super) struct Stack {
    /// Indices of places, the innermost first.
    pub(super) places: Vec<usize>,
    pub(super) samples: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

impl HeapProfile {
    pub(super) fn of(dump: Dump<'_>) -> HeapProfile {
        let mut naming = Naming {
            modules: Modules::of(dump.maps),
            symbols: Symbols::default(),
            places: Vec::new(),
            known: HashMap::new(),
        };
        let stacks = dump.stacks.into_iter().map(|stack| naming.stack(stack)).collect();
        let Naming { modules, places, .. } = naming;
        HeapProfile { interval: dump.interval, taken: SystemTime::now(), modules, places, stacks }
    }

    /// Bytes that live of what was allocated since sampling began: an estimate, its error is about `sqrt(bytes · 512 KiB)`.
    pub fn bytes(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.bytes).sum()
    }

    /// Number of allocations that were sampled and live.
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.samples).sum()
    }
}

/// Names places as they come.
struct Naming {
    modules: Modules,
    symbols: Symbols,
    places: Vec<Place>,
    known: HashMap<u64, usize>,
}

impl Naming {
    fn stack(&mut self, raw: RawStack) -> Stack {
        let mut places: Vec<usize> = raw.addresses.iter().map(|returns_to| self.place(*returns_to)).collect();
        let inside = places.iter().take_while(|place| self.is_allocator(**place)).count();
        // If that were all, it would be nobody's.
        if inside < places.len() {
            places.drain(..inside);
        }
        Stack { places, samples: raw.samples, objects: raw.objects, bytes: raw.bytes }
    }

    fn place(&mut self, returns_to: u64) -> usize {
        // The call is the instruction before the one it returns to.
        let address = returns_to.saturating_sub(1);
        if let Some(place) = self.known.get(&address) {
            return *place;
        }
        let module = self.modules.find(address);
        let lines = match module {
            Some(module) => self.symbols.at(&self.modules.0[module], address),
            None => vec![Line { function: format!("{address:#x}"), file: String::new(), line: 0 }],
        };
        self.places.push(Place { address, module, lines });
        self.known.insert(address, self.places.len() - 1);
        self.places.len() - 1
    }

    fn is_allocator(&self, place: usize) -> bool {
        self.places[place].lines.iter().all(|line| is_allocator(&line.function))
    }
}

/// Whether a function is the allocator's own: they say nothing about who allocates.
fn is_allocator(function: &str) -> bool {
    const BEGINNINGS: [&str; 9] = [
        "prof_",
        "imalloc",
        "ialloc",
        "do_rallocx",
        "fallback_",
        "je_",
        "_rjem_",
        "tikv_jemallocator::",
        "<tikv_jemallocator::",
    ];
    const NAMES: [&str; 18] = [
        "malloc",
        "malloc_default",
        "mallocx",
        "calloc",
        "realloc",
        "rallocx",
        "xallocx",
        "aligned_alloc",
        "posix_memalign",
        "memalign",
        "valloc",
        "pvalloc",
        "reallocarray",
        "__rust_alloc",
        "__rust_alloc_zeroed",
        "__rust_realloc",
        "__rustc::__rust_alloc",
        "__rustc::__rust_realloc",
    ];
    NAMES.contains(&function)
        || BEGINNINGS.iter().any(|beginning| function.starts_with(beginning))
        || function.starts_with("__rustc[") && function.contains("::__rust")
}
