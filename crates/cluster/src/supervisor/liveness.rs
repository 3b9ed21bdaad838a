//! The second hand: which workers hang, use too much, or have had their share.

use std::time::Duration;

use super::process::State;
use super::{Action, Holder, KillReason, Now, RecycleReason, Supervisor, Vitals};
use crate::WorkerId;

impl Supervisor {
    /// Looks at every worker. A late tick counts for nobody: then it was this process, or the whole machine, that stood
    /// still.
    pub(super) fn tick(&mut self, vitals: &[Vitals], now: Now, out: &mut Vec<Action>) {
        let on_time = self.last_tick.is_none_or(|last| now.saturating_sub(last) < self.policy.late_tick);
        self.last_tick = Some(now);
        for index in 0..self.processes.len() {
            let worker = self.processes[index].birth.worker;
            let Some(its) = vitals.iter().find(|its| its.worker == worker) else { continue };
            self.processes[index].resident_bytes = its.resident_bytes;
            let looked_at = self.policy.hard_memory.filter(|_| its.holder == Holder::Primary);
            if looked_at.is_some_and(|limit| its.resident_bytes > limit) {
                self.kill_for_memory(index, its.resident_bytes, now, out);
            } else {
                self.listen_to_the_heart(index, its.beat, on_time, now, out);
                let recycles_leaks = self.policy.recycle_leaks;
                let process = &mut self.processes[index];
                let leaks = process.leaks.filter(|_| recycles_leaks).map(RecycleReason::Leak);
                let used_up = process.served(now).and_then(|served| process.share.is_used_up(its, served));
                process.due = used_up.or(leaks);
            }
        }
    }

    fn kill_for_memory(&mut self, index: usize, resident_bytes: u64, now: Now, out: &mut Vec<Action>) {
        let process = &self.processes[index];
        if matches!(process.state, State::Dying { .. }) {
            return;
        }
        let words = format!("it used {} MiB of memory, more than its hard limit", resident_bytes >> 20);
        self.kill(process.birth.worker, KillReason::Memory, Some(words), now, out);
    }

    /// The kernel has ended it.
    pub(super) fn outgrew(&mut self, worker: WorkerId, words: String) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) {
            process.last_error = Some(words);
            process.outgrew = true;
        }
    }

    /// Counts a second without a heartbeat. Only workers that serve have this clock: what boots or waits for its gate has
    /// a deadline of its own, and so has what drains.
    fn listen_to_the_heart(&mut self, index: usize, beat: u64, on_time: bool, now: Now, out: &mut Vec<Action>) {
        let policy = &self.policy;
        let process = &mut self.processes[index];
        let turned = beat != process.beat;
        process.beat = beat;
        process.silent_ticks = match (turned, process.state) {
            (true, _) => 0,
            (false, State::Serving { .. }) => process.silent_ticks + u32::from(on_time),
            (false, _) => process.silent_ticks,
        };
        match process.state {
            State::Serving { since } if process.silent_ticks >= policy.liveness_ticks => {
                process.enter(State::Hung { since, kill_at: now + policy.hung_grace }, now);
                out.push(Action::DumpStacks(process.birth.worker));
            }
            // It was only slow: it serves on, and nothing needs to be done.
            State::Hung { since, .. } if turned => process.enter(State::Serving { since }, now),
            _ => {}
        }
    }

    /// The words about a worker that is killed because it hangs.
    pub(super) fn words_of_a_hang(&self) -> String {
        format!("its event loop stood still for {:?}", Duration::from_secs(self.policy.liveness_ticks.into()))
    }
}
