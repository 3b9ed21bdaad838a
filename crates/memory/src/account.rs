//! [`Account`]: bytes that one part of the program holds, counted under a name; [`accounts`]: all of them.
//!
//! ```text
//!   Budget::named("pictures", bytes) ─┐ weak     ┌─ accounts() ─► usage().pools: name, limit, used, peak
//!   Account::named("scratch") ────────┴► registry┘   (entries of one name are one line)
//! ```
//!
//! The registry holds at most [`MOST_ACCOUNTS`] and holds nothing alive: what is dropped vanishes from it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Accounts and named budgets that are listed at once; one more counts but is not listed. A pool of 8192 threads that each
/// have their own buffers is the most that there can be elsewhere.
pub const MOST_ACCOUNTS: usize = 8192;

/// What one name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// The name that was given.
    pub name: &'static str,
    /// Bytes that it may hold at most; `None` if it only counts.
    pub limit: Option<u64>,
    /// Bytes that it holds now: reserved or kept.
    pub used: u64,
    /// Most bytes that it ever held. Of several accounts with one name: the sum of their peaks, so at least the true one.
    pub peak: u64,
}

/// A count of bytes with a name: for buffers that are kept and reused. It limits nothing; that is a
/// [`Budget`](crate::Budget)'s work.
///
/// Several may have the same name (one for each thread): [`accounts`] adds them up.
///
/// ```
/// use phalanx_memory::{Account, accounts};
///
/// let buffers = Account::named("example buffers");
/// buffers.set(4096);
/// let line = accounts().into_iter().find(|line| line.name == "example buffers").unwrap();
/// assert_eq!((line.used, line.limit), (4096, None));
/// drop(buffers);
/// assert!(accounts().iter().all(|line| line.name != "example buffers"));
/// ```
pub struct Account {
    count: Arc<Count>,
}

impl Account {
    /// An account of 0 bytes, listed as long as it lives.
    pub fn named(name: &'static str) -> Account {
        let count = Arc::new(Count::new(None));
        register(name, &count);
        Account { count }
    }

    /// It holds `bytes` now.
    pub fn set(&self, bytes: u64) {
        self.count.used.store(bytes, Ordering::Relaxed);
        self.count.raise_peak(bytes);
    }

    /// It holds `bytes` more.
    pub fn add(&self, bytes: u64) {
        let before = self.count.used.fetch_add(bytes, Ordering::Relaxed);
        self.count.raise_peak(before.saturating_add(bytes));
    }

    /// It holds `bytes` less.
    pub fn subtract(&self, bytes: u64) {
        // Relaxed: the count guards no other memory.
        let _ =
            self.count.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(bytes)));
    }

    /// Bytes that it holds now.
    pub fn used(&self) -> u64 {
        self.count.used.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({} bytes)", self.used())
    }
}

/// What an account or a budget counts.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) limit: Option<u64>,
    pub(crate) used: AtomicU64,
    pub(crate) peak: AtomicU64,
}

impl Count {
    pub(crate) fn new(limit: Option<u64>) -> Count {
        Count { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    pub(crate) fn raise_peak(&self, used: u64) {
        // A load first: it is a rare store, and many threads share the word.
        if used > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(used, Ordering::Relaxed);
        }
    }
}

struct Entry {
    name: &'static str,
    count: Weak<Count>,
}

static REGISTRY: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

pub(crate) fn register(name: &'static str, count: &Arc<Count>) {
    let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    registry.retain(|entry| entry.count.strong_count() > 0);
    if registry.len() < MOST_ACCOUNTS {
        registry.push(Entry { name, count: Arc::downgrade(count) });
    }
}

/// What all named budgets and accounts of this process hold, by name; those that were dropped are gone.
pub fn accounts() -> Vec<PoolUsage> {
    let mut lines: Vec<PoolUsage> = Vec::new();
    let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    for entry in registry.iter() {
        let Some(count) = entry.count.upgrade() else { continue };
        let (used, peak) = (count.used.load(Ordering::Relaxed), count.peak.load(Ordering::Relaxed));
        match lines.iter_mut().find(|line| line.name == entry.name) {
            Some(line) => {
                line.used = line.used.saturating_add(used);
                line.peak = line.peak.saturating_add(peak);
                line.limit = line.limit.zip(count.limit).map(|(one, other)| one.saturating_add(other));
            }
            None => lines.push(PoolUsage { name: entry.name, limit: count.limit, used, peak }),
        }
    }
    drop(registry);
    lines.sort_unstable_by_key(|line| line.name);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> Option<PoolUsage> {
        accounts().into_iter().find(|line| line.name == name)
    }

    #[test]
    fn accounts_of_one_name_are_one_line_and_dropped_ones_vanish() {
        const NAME: &str = "test: one line";
        let (one, other) = (Account::named(NAME), Account::named(NAME));
        one.add(100);
        other.set(30);
        one.subtract(60);
        assert_eq!(line(NAME), Some(PoolUsage { name: NAME, limit: None, used: 70, peak: 130 }));
        drop(one);
        assert_eq!(line(NAME), Some(PoolUsage { name: NAME, limit: None, used: 30, peak: 30 }));
        drop(other);
        assert_eq!(line(NAME), None);
    }

    #[test]
    fn an_account_never_holds_less_than_nothing() {
        let account = Account::named("test: less than nothing");
        account.add(5);
        account.subtract(8);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn the_registry_forgets_the_dead() {
        for _ in 0..3 * MOST_ACCOUNTS {
            drop(Account::named("test: short life"));
        }
        let last = Account::named("test: still listed");
        assert!(line("test: still listed").is_some());
        drop(last);
    }
}
