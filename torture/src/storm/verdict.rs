//! [`Verdict`]: what was promised, held against what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use phalanx_queue::{JobEnd, JobId, Queue};

use crate::ledger::Ledger;
use crate::task::Mark;

/// For the last questions: a keeper that was just struck may still be coming back.
const PATIENCE: Duration = Duration::from_secs(40);
/// Examples that are shown of what went wrong.
const SHOWN: usize = 5;

/// What a keeper of state says of each confirmed job: its result, or why it has none.
pub(crate) type Kept = BTreeMap<u64, Result<u64, String>>;

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) offered: usize,
    pub(crate) confirmed: usize,
    pub(crate) results: usize,
    /// Runs beyond the first of each job: at least once is promised.
    pub(crate) repeats: u64,
    /// Confirmed, and never run, or run and without its result.
    pub(crate) lost: Vec<String>,
    /// Results that contradict one another.
    pub(crate) contradictions: Vec<String>,
    pub(crate) blows: BTreeMap<&'static str, u64>,
}

impl Verdict {
    pub(crate) fn of(
        ledger: &Ledger,
        runs: &BTreeMap<u64, u64>,
        kept: Option<Kept>,
        blows: BTreeMap<&'static str, u64>,
    ) -> Verdict {
        let mut verdict = Verdict {
            offered: ledger.offered.len(),
            confirmed: ledger.confirmed.len(),
            results: ledger.ended.len(),
            repeats: runs.values().map(|times| times - 1).sum(),
            contradictions: ledger.contradictions.clone(),
            blows,
            ..Verdict::default()
        };
        for number in ledger.confirmed.keys() {
            if !runs.contains_key(number) {
                verdict.lost.push(format!("job {number} was confirmed and never run"));
            }
            match kept.as_ref().and_then(|kept| kept.get(number)) {
                Some(Err(why)) => verdict.lost.push(format!("job {number} was confirmed and has no result: {why}")),
                Some(Ok(result)) if *result != Mark::result(*number) => {
                    verdict.contradictions.push(format!("job {number} has the result of another"));
                }
                Some(Ok(_)) | None => {}
            }
        }
        for (number, result) in &ledger.ended {
            if *result != Mark::result(*number) {
                verdict.contradictions.push(format!("a caller of job {number} got the result of another"));
            }
        }
        for (number, why) in &ledger.failed {
            verdict.lost.push(format!("a caller of job {number} was told that it failed: {why}"));
        }
        for number in runs.keys().filter(|number| !ledger.offered.contains_key(number)) {
            verdict.contradictions.push(format!("job {number} was run, and nobody has offered it"));
        }
        verdict
    }

    pub(crate) fn is_kept(&self) -> bool {
        // A storm in which nothing was done proves nothing.
        self.confirmed > 0 && self.lost.is_empty() && self.contradictions.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blows: Vec<String> = self.blows.iter().map(|(name, times)| format!("{times} {name}")).collect();
        writeln!(f, "  {}", blows.join(", "))?;
        writeln!(
            f,
            "  {} offered, {} confirmed, {} lost, {} runs repeated, {} results received, {} contradictions: {}",
            self.offered,
            self.confirmed,
            self.lost.len(),
            self.repeats,
            self.results,
            self.contradictions.len(),
            if self.is_kept() { "kept" } else { "FAILED" },
        )?;
        for line in self.lost.iter().take(SHOWN).chain(self.contradictions.iter().take(SHOWN)) {
            writeln!(f, "  - {line}")?;
        }
        Ok(())
    }
}

/// Asks the keeper of state how each confirmed job ended.
pub(crate) fn ask(url: &str, ledger: &Ledger) -> Result<Kept, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let queue = Queue::connect(url).await.map_err(|error| error.to_string())?;
        let mut kept = Kept::new();
        for (number, id) in &ledger.confirmed {
            let id: JobId = id.parse().map_err(|error| format!("an id is no id: {error}"))?;
            let said = match queue.store().ended(id, PATIENCE).await {
                Ok(Some(JobEnd::Done(result))) => crate::task::unpacked(&queue, &result).await,
                Ok(Some(JobEnd::Dead(error))) => Err(phalanx_queue::payload::as_error(&error).to_string()),
                Ok(Some(JobEnd::Cancelled)) => Err("it was cancelled, by nobody".to_owned()),
                Ok(None) => Err("it has not ended".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            kept.insert(*number, said);
        }
        queue.close().await;
        Ok(kept)
    })
}
