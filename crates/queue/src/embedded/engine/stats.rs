//! What the queues hold: from what is counted with each change; nothing is gone through for it.

use super::{Engine, Now};
use crate::job::PRIORITY_STEP;
use crate::{Error, QueueName, QueueStats};

impl Engine {
    pub(super) fn stats(&mut self, queue: Option<&QueueName>, now: Now) -> Result<Vec<QueueStats>, Error> {
        match queue {
            Some(name) => {
                let queue = self.queue_names.get(name.as_str()).copied();
                let queue = queue.ok_or_else(|| Error::NoSuchQueue { queue: name.to_string() })?;
                Ok(vec![self.stats_of(queue, now)])
            }
            None => Ok((0..self.queues.len() as u32).map(|queue| self.stats_of(queue, now)).collect()),
        }
    }

    fn stats_of(&self, queue: u32, now: Now) -> QueueStats {
        let state = &self.queues[queue as usize];
        let lines = || state.kinds.values().chain(&state.messages).copied();
        let runners = self
            .runners
            .values()
            .filter(|runner| runner.queues.iter().any(|line| self.lines[line.0 as usize].queue == queue));
        let consumers = lines().map(|line| self.consumers_of(line)).sum::<usize>() + runners.count();
        // Of the heads of the lines: with equal priorities the oldest is one of them.
        let waiting = lines().flat_map(|line| self.lines[line.0 as usize].window().take(64));
        let since = waiting.filter_map(|seq| self.items.get(&seq)).map(|item| {
            let step = i64::try_from(PRIORITY_STEP.as_millis()).unwrap_or(0) * i64::from(item.terms.priority);
            u64::try_from(item.rank.saturating_add(step)).unwrap_or(0)
        });
        QueueStats {
            queue: state.name.clone(),
            ready: state.contents.ready.saturating_sub(state.leased),
            scheduled: state.contents.scheduled,
            leased: state.leased,
            waiting_children: state.contents.waiting_children,
            done: state.contents.done,
            dead: state.contents.dead,
            bytes: state.contents.bytes.saturating_sub(state.leased_bytes),
            oldest_ms: since.min().map_or(0, |since| now.wall.0.saturating_sub(since)),
            consumers: consumers as u64,
            paused: state.is_paused,
        }
    }
}
