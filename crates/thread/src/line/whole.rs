//! [`Line`]: the whole of it for others: a queue with instants, tickets for what runs, and the jobs that are overdue.

use std::fmt;
use std::time::{Duration, Instant};

use crate::line::key::Key;
use crate::line::lanes::Waiting;
use crate::line::pace::Finished;
use crate::line::priority::Priority;
use crate::line::queue::Queue;
use crate::line::refusal::Refusal;
use crate::line::terms::{AdmissionNumber, LineOptions, Popped, Refused, Run, Terms, Ticket};
use crate::line::time::{NEVER, Nanos, cost_of, nanos};

/// A bounded line of jobs. See the [module](crate::line).
pub struct Line<J> {
    queue: Queue<Entered<J>>,
    /// Times that were given as such are counted from here.
    epoch: Instant,
    /// No job that waits is due before.
    none_due_before: Nanos,
}

/// A job with what only its end asks for.
struct Entered<J> {
    job: J,
    is_estimated: bool,
}

impl<J> Line<J> {
    /// An empty one.
    pub fn new(options: LineOptions) -> Line<J> {
        Line { queue: Queue::new(options), epoch: Instant::now(), none_due_before: NEVER }
    }

    /// How many threads or processes there are, or could be had at once, from now on. Predictions are made with it.
    pub fn set_servers(&mut self, servers: usize) {
        self.queue.set_servers(servers);
    }

    /// Appends a job, unless it is refused: as many wait as may, or it would wait for too long.
    pub fn push(&mut self, job: J, terms: Terms, now: Instant) -> Result<Key, Refused<J>> {
        let cost = terms.cost.map_or_else(|| self.queue.usual_cost(), cost_of);
        if let Err(why) = self.queue.admission(terms.priority, cost, now) {
            return Err(Refused { job, why });
        }
        let due = terms.due.map_or(NEVER, |due| self.at(due));
        self.none_due_before = self.none_due_before.min(due);
        let job = Entered { job, is_estimated: terms.cost.is_some() };
        Ok(self.queue.push(terms.priority, Waiting { job, cost, due }))
    }

    /// Puts a job back that did not run though it was [popped](Line::pop): before all of its priority and its class of
    /// cost, and without asking whether there is room.
    pub fn push_in_front(&mut self, job: J, ticket: Ticket) -> Key {
        let Ticket { priority, cost, due, is_estimated } = ticket;
        self.queue.left_unrun(cost);
        self.none_due_before = self.none_due_before.min(due);
        self.queue.push_in_front(priority, Waiting { job: Entered { job, is_estimated }, cost, due })
    }

    /// The next job by the rule. From now on it counts as running.
    pub fn pop(&mut self) -> Option<Popped<J>> {
        let (priority, Waiting { job: Entered { job, is_estimated }, cost, due }) = self.queue.pop()?;
        Some(Popped { job, ticket: Ticket { priority, cost, due, is_estimated } })
    }

    /// Takes a job out of the line that nobody wants any more, if it waits there.
    pub fn withdraw(&mut self, key: Key) -> Option<J> {
        self.queue.withdraw(key).map(|entered| entered.job)
    }

    /// Takes all jobs out for which it is too late. Walks over all that wait, if any of them can be due.
    pub fn overdue(&mut self, now: Instant) -> Vec<J> {
        let now = self.at(now);
        if now < self.none_due_before {
            return Vec::new();
        }
        let mut keys = Vec::new();
        self.none_due_before = self.queue.overdue(now, |key, _| keys.push(key));
        keys.into_iter().filter_map(|key| self.withdraw(key)).collect()
    }

    /// When to ask for [`overdue`](Line::overdue) jobs again; `None`: never, unless other jobs come. There may be none at
    /// that time, since jobs leave.
    pub fn next_due(&self) -> Option<Instant> {
        let after = (self.none_due_before != NEVER).then(|| Duration::from_nanos(self.none_due_before))?;
        self.epoch.checked_add(after)
    }

    /// Takes everything out.
    pub fn take_all(&mut self) -> Vec<J> {
        self.none_due_before = NEVER;
        self.queue.take_all().into_iter().map(|entered| entered.job).collect()
    }

    /// A job that was popped has ended.
    pub fn finished(&mut self, ticket: Ticket, run: Run) {
        let unestimated_run = (run.whole && !ticket.is_estimated).then_some(run.ran);
        self.queue.finished(Finished { cost: ticket.cost, occupied: run.occupied, unestimated_run, whole: run.whole });
    }

    /// A job that was popped did not run, and will not.
    pub fn left_unrun(&mut self, ticket: Ticket) {
        self.queue.left_unrun(ticket.cost);
    }

    /// Lets in a job of this cost that is submitted a little later: it counts as waiting until it is
    /// [forgotten](Line::forget), but for a quarter of a second at most.
    pub fn admit(&mut self, cost: Duration, now: Instant) -> Result<AdmissionNumber, Refusal> {
        let cost = cost_of(cost);
        self.queue.admission(Priority::DEFAULT, cost, now)?;
        Ok(self.queue.is_let_in(cost, now))
    }

    /// What was let in under this number is about to be pushed, or never will be.
    pub fn forget(&mut self, number: AdmissionNumber) {
        self.queue.forget(number);
    }

    /// How long a job of this cost (without one: a heavy job) would wait if it came now, at the default priority: nothing
    /// while a server is free, else the cost of all that waits and half of what runs, divided by the measured speed.
    pub fn predicted_wait(&mut self, cost: Option<Duration>, now: Instant) -> Duration {
        self.queue.predicted_wait(Priority::DEFAULT, cost.map_or(u64::MAX, cost_of), now)
    }

    /// What a job without an estimate is taken to cost: the mean of what such jobs took lately.
    pub fn usual_cost(&self) -> Duration {
        Duration::from_nanos(self.queue.usual_cost())
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many may wait.
    pub fn limit(&self) -> usize {
        self.queue.limit()
    }

    /// How many wait of each priority, 0 to 9.
    pub fn len_by_priority(&self) -> [usize; Priority::COUNT] {
        self.queue.len_by_priority()
    }

    /// How many were popped and have not ended.
    pub fn running(&self) -> usize {
        self.queue.running()
    }

    fn at(&self, time: Instant) -> Nanos {
        nanos(time.saturating_duration_since(self.epoch))
    }
}

impl<J> fmt::Debug for Line<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("waiting", &self.len()).field("running", &self.running()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const WAIT: Duration = Duration::from_millis(500);

    fn line(limit: usize) -> Line<&'static str> {
        Line::new(LineOptions { servers: 1, cores: 1, limit, max_wait: WAIT, standing_wait: WAIT })
    }

    fn push(line: &mut Line<&'static str>, job: &'static str) -> Key {
        line.push(job, Terms::default(), Instant::now()).expect("there is room")
    }

    fn jobs(line: &mut Line<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.pop()).map(|next| next.job).collect()
    }

    #[test]
    fn a_job_that_comes_back_goes_first_and_is_let_in_though_the_line_is_full() {
        let mut line = line(2);
        push(&mut line, "first");
        let second = push(&mut line, "second");
        let first = line.pop().unwrap();
        push(&mut line, "third");
        assert_eq!((line.len(), line.running()), (2, 1));
        let again = line.push_in_front(first.job, first.ticket);
        assert_eq!((line.len(), line.running()), (3, 0));
        assert!(line.push("fourth", Terms::default(), Instant::now()).is_err());
        assert_eq!(line.withdraw(second), Some("second"));
        assert_eq!(line.withdraw(second), None);
        assert_eq!(jobs(&mut line), ["first", "third"]);
        assert_eq!(line.withdraw(again), None, "its place is gone");
    }

    #[test]
    fn jobs_that_came_back_can_be_withdrawn_wherever_they_stand() {
        let mut line = line(100);
        let names = ["a", "b", "c", "d"];
        for name in names {
            push(&mut line, name);
        }
        let popped: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
        push(&mut line, "behind");
        let keys: Vec<_> = popped.into_iter().rev().map(|next| line.push_in_front(next.job, next.ticket)).collect();
        assert_eq!(line.withdraw(keys[1]), Some("c"));
        assert_eq!(line.withdraw(keys[3]), Some("a"));
        assert_eq!(jobs(&mut line), ["b", "d", "behind"]);
    }

    #[test]
    fn what_is_overdue_leaves_the_line_and_the_next_time_is_known() {
        let (mut line, now) = (line(10), Instant::now());
        let due = |millis: u32| Terms { due: Some(now + MS * millis), ..Terms::default() };
        assert_eq!(line.next_due(), None);
        line.push("late", due(50), now).unwrap();
        line.push("soon", due(10), now).unwrap();
        push(&mut line, "whenever");
        assert_eq!(line.next_due(), Some(now + MS * 10));
        assert_eq!(line.overdue(now + MS * 9), [""; 0]);
        assert_eq!(line.overdue(now + MS * 10), ["soon"]);
        assert_eq!(line.next_due(), Some(now + MS * 50));
        let late = line.pop().unwrap();
        assert_eq!(line.overdue(now + MS * 50), [""; 0], "it runs");
        assert_eq!(line.next_due(), None);
        line.push_in_front(late.job, late.ticket);
        assert_eq!(line.overdue(now + MS * 50), ["late"], "it waits again");
        assert_eq!(jobs(&mut line), ["whenever"]);
    }

    #[test]
    fn nobody_is_let_in_who_would_wait_too_long_also_behind_those_who_were_let_in() {
        let (mut line, now) = (line(100), Instant::now());
        assert_eq!(line.predicted_wait(None, now), Duration::ZERO);
        let heavy = Terms { cost: Some(MS * 400), ..Terms::default() };
        line.push("runs", heavy, now).unwrap();
        let running = line.pop().unwrap();
        assert_eq!(line.predicted_wait(None, now), MS * 200, "half of what runs");
        let number = line.admit(MS * 400, now).unwrap();
        assert_eq!(line.predicted_wait(None, now), MS * 600);
        let refused = line.push("too late", heavy, now).unwrap_err();
        assert_eq!(refused.why, Refusal::TooLongWait { predicted: MS * 600, limit: WAIT, retry_after: MS * 350 });
        line.forget(number);
        line.push("instead", heavy, now).unwrap();
        assert_eq!(line.predicted_wait(None, now), MS * 600);
        line.left_unrun(running.ticket);
        assert_eq!(line.predicted_wait(None, now), MS * 400);
        line.set_servers(2);
        assert_eq!(line.predicted_wait(None, now), Duration::ZERO, "one is free");
    }

    #[test]
    fn jobs_without_an_estimate_cost_what_such_jobs_took() {
        let (mut line, now) = (line(10), Instant::now());
        for _ in 0..200 {
            line.push("slow", Terms::default(), now).unwrap();
            let next = line.pop().unwrap();
            line.finished(next.ticket, Run { occupied: MS * 40, ran: MS * 40, whole: true });
        }
        let usual = line.usual_cost();
        assert!((MS * 39..MS * 41).contains(&usual), "{usual:?}");
        line.push("estimated", Terms { cost: Some(MS), ..Terms::default() }, now).unwrap();
        let next = line.pop().unwrap();
        assert_eq!(next.ticket.cost(), MS);
        line.finished(next.ticket, Run { occupied: MS * 900, ran: MS * 900, whole: true });
        assert_eq!(line.usual_cost(), usual, "what was estimated says nothing of what was not");
    }
}
