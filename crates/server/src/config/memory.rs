//! What follows from the memory that there is: how many processes, and how much of it is for pictures.
//!
//! ```text
//!   the limit (of the control group, or the machine)
//!   ├── rests: the program with primary, front and owner 32 MiB · 8 MiB a worker · 6 MiB a job process
//!   ├── kept between two pictures: an eighth of the budget, 64 MiB at most, in each job process
//!   ├── budget for pictures, of all workers together: 3/4 of what is left, 40 % of the limit at most
//!   └── the rest: connections, answers on their way out, what allocators do not give back at once, page cache
//! ```

use super::MIB;

/// The program's own pages, and what primary, front and the owner of the queue have. (Measured: 12 MiB in all; with some to spare.)
const PROGRAM_BYTES: u64 = 32 * MIB;
/// A worker that has connections but no work (measured: 2.5 MiB without any).
const WORKER_BYTES: u64 = 8 * MIB;
/// A job process that waits (measured: 2 to 3 MiB).
const JOB_PROCESS_BYTES: u64 = 6 * MIB;
/// Part of a budget that a job process may keep between two pictures (`tasks::kept_bytes`).
const KEPT_PART: u64 = 8;
/// The most that one keeps (`image::SCRATCH_KEEPS_BYTES`).
const MOST_KEPT_BYTES: u64 = 64 * MIB;
/// Part of the limit that workers may rest in, if their number is not given; and job processes.
const PART_FOR_WORKERS: u64 = 8;
const PART_FOR_JOB_PROCESSES: u64 = 4;
/// What a job process counts for in that part: it rests in 6 MiB, and keeps some.
const JOB_PROCESS_SHARE_BYTES: u64 = 16 * MIB;
/// Part of the limit that is for pictures where so much rests that nothing is left: somebody has asked for too many processes.
const LEAST_PART: u64 = 16;

/// The usual number of workers: one for each core, as far as the memory goes.
pub(super) fn usual_workers(cores: u32, limit: u64) -> u32 {
    fitting(cores, limit / PART_FOR_WORKERS / WORKER_BYTES)
}

/// The usual number of job processes of each of so many workers: one for each core, as far as the memory goes.
pub(super) fn usual_job_processes(cores: u32, workers: u32, limit: u64) -> u32 {
    fitting(cores, limit / PART_FOR_JOB_PROCESSES / JOB_PROCESS_SHARE_BYTES / u64::from(workers.max(1)))
}

fn fitting(cores: u32, most: u64) -> u32 {
    cores.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1)
}

/// The usual budget for the pictures of all workers.
pub(super) fn usual_budget(workers: u32, job_processes: u32, limit: u64) -> u64 {
    let (workers, job_processes) = (u64::from(workers), u64::from(workers) * u64::from(job_processes));
    let rests = PROGRAM_BYTES + workers * WORKER_BYTES + job_processes * JOB_PROCESS_BYTES;
    let left = limit.saturating_sub(rests);
    // 3/4 of what is left beside what the job processes keep of the budget, or 64 MiB each if that is less.
    let with_part_kept = left.saturating_mul(3 * KEPT_PART) / (4 * KEPT_PART + 3 * job_processes);
    let with_most_kept = left.saturating_sub(job_processes * MOST_KEPT_BYTES) / 4 * 3;
    with_part_kept.max(with_most_kept).min(limit / 5 * 2).max(limit / LEAST_PART).max(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GIB;

    #[test]
    fn a_large_machine_gives_a_worker_to_each_core_and_40_percent_to_pictures() {
        for (cores, limit) in [(2, 10 * GIB), (16, 64 * GIB)] {
            let workers = usual_workers(cores, limit);
            assert_eq!((workers, usual_job_processes(cores, workers, limit)), (cores, cores));
            assert_eq!(usual_budget(workers, cores, limit), limit / 5 * 2);
        }
    }

    #[test]
    fn what_rests_is_kept_and_may_be_used_stays_within_a_small_container() {
        for cores in [1, 2, 4, 64] {
            for limit in [128 * MIB, 256 * MIB, 512 * MIB, GIB] {
                let workers = usual_workers(cores, limit);
                let job_processes = usual_job_processes(cores, workers, limit);
                let budget = usual_budget(workers, job_processes, limit);
                let processes = u64::from(workers * job_processes);
                let rests = PROGRAM_BYTES + u64::from(workers) * WORKER_BYTES + processes * JOB_PROCESS_BYTES;
                let kept = processes * (budget / KEPT_PART).min(MOST_KEPT_BYTES);
                assert!(rests + kept + budget <= limit / 16 * 15, "{workers} × {job_processes}, {budget} of {limit}");
                assert!(budget >= limit / 5, "{workers} × {job_processes}, {budget} of {limit}");
            }
        }
        assert_eq!((usual_workers(64, 256 * MIB), usual_job_processes(64, 4, 256 * MIB)), (4, 1));
        assert_eq!((usual_workers(2, 64 * MIB), usual_job_processes(2, 1, 64 * MIB)), (1, 1));
    }

    #[test]
    fn there_is_always_something_for_pictures() {
        assert_eq!(usual_budget(1024, 1024, 256 * MIB), 16 * MIB);
        assert_eq!(usual_budget(1, 1, 0), MIB);
        assert_eq!(usual_budget(1024, 1024, u64::MAX), u64::MAX / 5 * 2);
    }
}
