//! The table of all figures: their names, what they tell, and where they come from.

use phalanx_shared::{ClusterField, Field, Histogram};

use super::text::{Family, Kind};

/// A value of one label, or none, and where its figure comes from.
pub(super) type Part<F> = (Option<(&'static str, &'static str)>, F);

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Histogram }
}

/// What the primary says.
pub(super) const OF_THE_CLUSTER: &[(Family, &[Part<ClusterField>])] = &[
    (gauge("phalanx_start_time_seconds", "When the cluster began, since 1970."), &[(None, ClusterField::StartedAt)]),
    (gauge("phalanx_places", "Places that should have a worker."), &[(None, ClusterField::Wanted)]),
    (
        gauge(
            "phalanx_places_broken",
            "Places without a worker: tried again after a while, or given up until a reload.",
        ),
        &[(None, ClusterField::Broken)],
    ),
    (
        gauge("phalanx_workers", "Worker processes by what they do."),
        &[
            (Some(("state", "serving")), ClusterField::Serving),
            (Some(("state", "booting")), ClusterField::Booting),
            (Some(("state", "draining")), ClusterField::Draining),
        ],
    ),
    (gauge("phalanx_generation", "Generation that new workers get."), &[(None, ClusterField::Generation)]),
    (
        gauge("phalanx_stopping", "1 from the moment when the cluster begins to stop."),
        &[(None, ClusterField::Stopping)],
    ),
    (counter("phalanx_worker_starts_total", "Worker processes started."), &[(None, ClusterField::Starts)]),
    (
        counter("phalanx_worker_crashes_total", "Worker processes that ended without being told to."),
        &[(None, ClusterField::Crashes)],
    ),
    (
        counter("phalanx_worker_kills_total", "Worker processes killed by the primary."),
        &[
            (Some(("reason", "boot")), ClusterField::KilledBoot),
            (Some(("reason", "gate")), ClusterField::KilledGate),
            (Some(("reason", "hung")), ClusterField::KilledHung),
            (Some(("reason", "drain")), ClusterField::KilledDrain),
            (Some(("reason", "memory")), ClusterField::KilledMemory),
            (Some(("reason", "old_generation")), ClusterField::KilledOldGeneration),
            (Some(("reason", "unneeded")), ClusterField::KilledUnneeded),
            (Some(("reason", "stop")), ClusterField::KilledStop),
        ],
    ),
    (
        counter("phalanx_worker_recycled_total", "Workers replaced because they had had their share."),
        &[
            (Some(("reason", "requests")), ClusterField::RecycledRequests),
            (Some(("reason", "lifetime")), ClusterField::RecycledLifetime),
            (Some(("reason", "memory")), ClusterField::RecycledMemory),
            (Some(("reason", "leak")), ClusterField::RecycledLeak),
        ],
    ),
    (
        counter("phalanx_back_offs_total", "Times that a place waited before its next start."),
        &[(None, ClusterField::BackOffs)],
    ),
    (
        counter("phalanx_breakers_opened_total", "Times that a place was given up for a while."),
        &[(None, ClusterField::BreakersOpened)],
    ),
    (
        counter("phalanx_places_given_up_total", "Times that a worker said that it must not be restarted."),
        &[(None, ClusterField::GivenUp)],
    ),
    (
        counter("phalanx_reloads_total", "Reloads by how they ended."),
        &[
            (Some(("result", "done")), ClusterField::ReloadsDone),
            (Some(("result", "failed")), ClusterField::ReloadsFailed),
        ],
    ),
    (
        gauge("phalanx_last_reload_time_seconds", "When the last good reload ended, since 1970; 0 if there was none."),
        &[(None, ClusterField::LastReloadAt)],
    ),
    (
        counter("phalanx_upgrades_total", "Upgrades in place by how they ended."),
        &[
            (Some(("result", "done")), ClusterField::UpgradesDone),
            (Some(("result", "failed")), ClusterField::UpgradesFailed),
        ],
    ),
    (
        counter("phalanx_rollbacks_total", "Returns to the program before an upgrade."),
        &[(None, ClusterField::Rollbacks)],
    ),
    (counter("phalanx_stack_dumps_total", "Stack dumps made of hung workers."), &[(None, ClusterField::StackDumps)]),
    (
        counter("phalanx_log_lines_dropped_total", "Lines of workers dropped because the log took no more."),
        &[(None, ClusterField::LogLinesDropped)],
    ),
    (
        counter(
            "phalanx_events_dropped_total",
            "Events that the front process did not get because it read too slowly.",
        ),
        &[(None, ClusterField::EventsDropped)],
    ),
    (
        counter("phalanx_front_restarts_total", "Times that the front process was started anew."),
        &[(None, ClusterField::FrontRestarts)],
    ),
    (
        gauge(
            "phalanx_memory_limit_bytes",
            "Memory that the cluster may use: the smallest limit of its control groups, or the machine's memory.",
        ),
        &[(None, ClusterField::MemoryTotal)],
    ),
    (
        gauge("phalanx_memory_used_bytes", "Memory in use where the limit was found, without page cache that can go."),
        &[(None, ClusterField::MemoryUsed)],
    ),
    (
        gauge("phalanx_primary_resident_bytes", "Resident memory of the primary."),
        &[(None, ClusterField::PrimaryResidentBytes)],
    ),
    (
        counter(
            "phalanx_out_of_memory_kills_total",
            "Workers and job processes that the kernel has ended because of a memory limit.",
        ),
        &[(None, ClusterField::OutOfMemoryKills)],
    ),
];

/// What the primary says in 1/100 %.
pub(super) const SHARES_OF_THE_CLUSTER: &[(Family, &[Part<ClusterField>])] = &[(
    gauge("phalanx_memory_pressure_ratio", "Share of the last 10 s in which some, or all, tasks waited for memory."),
    &[
        (Some(("kind", "some")), ClusterField::MemoryPressureSome),
        (Some(("kind", "full")), ClusterField::MemoryPressureFull),
    ],
)];

/// What all workers have done, with those that have ended.
pub(super) const OF_ALL_WORKERS: &[(Family, &[Part<Field>])] = &[
    (counter("phalanx_connections_accepted_total", "Connections accepted."), &[(None, Field::Accepted)]),
    (
        counter("phalanx_connections_deferred_total", "Connections for which a worker stood back for a less busy one."),
        &[(None, Field::Deferred)],
    ),
    (
        counter("phalanx_connections_refused_total", "Connections refused because their client has too many."),
        &[(None, Field::Refused)],
    ),
    (counter("phalanx_connections_passed_total", "Connections passed to another worker."), &[(None, Field::PassedOn)]),
    (counter("phalanx_http2_connections_total", "Connections that spoke HTTP/2."), &[(None, Field::Http2Connections)]),
    (
        counter("phalanx_tls_handshakes_total", "TLS handshakes by how they ended."),
        &[(Some(("result", "done")), Field::TlsHandshakes), (Some(("result", "failed")), Field::TlsFailures)],
    ),
    (counter("phalanx_requests_total", "Requests begun."), &[(None, Field::Requests)]),
    (
        counter("phalanx_responses_total", "Answers by the class of their status."),
        &[
            (Some(("class", "1xx")), Field::Responses1xx),
            (Some(("class", "2xx")), Field::Responses2xx),
            (Some(("class", "3xx")), Field::Responses3xx),
            (Some(("class", "4xx")), Field::Responses4xx),
            (Some(("class", "5xx")), Field::Responses5xx),
        ],
    ),
    (
        counter("phalanx_requests_shed_total", "Requests refused because there was too much to do."),
        &[(None, Field::Shed)],
    ),
    (
        counter("phalanx_requests_timed_out_total", "Requests and connections ended because they took too long."),
        &[(None, Field::TimedOut)],
    ),
    (counter("phalanx_jobs_submitted_total", "Jobs given to the pools."), &[(None, Field::JobsSubmitted)]),
    (
        counter("phalanx_jobs_total", "Jobs of the pools by how they ended."),
        &[
            (Some(("result", "done")), Field::JobsDone),
            (Some(("result", "failed")), Field::JobsFailed),
            (Some(("result", "refused")), Field::JobsRefused),
        ],
    ),
    (
        counter("phalanx_job_crashes_total", "Job processes that died of a task or by themselves."),
        &[(None, Field::JobCrashes)],
    ),
    (
        counter("phalanx_job_poisoned_total", "Jobs refused because their input had killed its process too often."),
        &[(None, Field::JobsPoisoned)],
    ),
    (
        counter("phalanx_leaks_suspected_total", "Leaks of memory or descriptors that workers suspected."),
        &[(None, Field::Leaks)],
    ),
    (
        counter("phalanx_streams_begun_total", "Streams from request to answer, by what they do."),
        &[
            (Some(("operation", "compress")), Field::StreamsCompress),
            (Some(("operation", "decompress")), Field::StreamsDecompress),
            (Some(("operation", "encrypt")), Field::StreamsEncrypt),
            (Some(("operation", "decrypt")), Field::StreamsDecrypt),
            (Some(("operation", "hash")), Field::StreamsHash),
        ],
    ),
    (
        counter(
            "phalanx_streams_total",
            "Streams by how they ended: refused before their answer began, cut in the middle of it.",
        ),
        &[
            (Some(("result", "done")), Field::StreamsDone),
            (Some(("result", "refused")), Field::StreamsRefused),
            (Some(("result", "cut")), Field::StreamsCut),
            (Some(("result", "abandoned")), Field::StreamsAbandoned),
        ],
    ),
    (
        counter("phalanx_stream_bytes_total", "Bytes that streams read and gave."),
        &[(Some(("direction", "in")), Field::StreamBytesIn), (Some(("direction", "out")), Field::StreamBytesOut)],
    ),
];

/// What all workers have measured: waiting apart from work.
pub(super) const TIMES: &[(Family, Histogram)] = &[
    (
        histogram("phalanx_request_seconds", "From the end of a request's head to the end of its answer."),
        Histogram::Request,
    ),
    (histogram("phalanx_queue_wait_seconds", "From the submission of a job to its start."), Histogram::QueueWait),
    (histogram("phalanx_work_seconds", "From the start of a job to its end."), Histogram::Work),
];

/// What each worker that lives says of itself.
pub(super) const OF_EACH_WORKER: &[(Family, &[Part<Field>])] = &[
    (gauge("phalanx_worker_start_time_seconds", "When the worker began, since 1970."), &[(None, Field::StartedAt)]),
    (gauge("phalanx_worker_accepting", "1 while the worker takes new connections."), &[(None, Field::Accepting)]),
    (
        counter("phalanx_worker_heartbeats_total", "Seconds in which the worker's event loop turned."),
        &[(None, Field::Heartbeat)],
    ),
    (gauge("phalanx_worker_connections", "Connections that are open."), &[(None, Field::Connections)]),
    (
        gauge("phalanx_worker_upgraded_connections", "Upgraded connections (WebSocket) that are open."),
        &[(None, Field::Upgraded)],
    ),
    (gauge("phalanx_worker_requests_in_flight", "Requests begun and not yet answered."), &[(None, Field::InFlight)]),
    (counter("phalanx_worker_requests_total", "Requests begun by this worker."), &[(None, Field::Requests)]),
    (gauge("phalanx_worker_busy_threads", "Jobs that have a thread or a job process."), &[(None, Field::BusyThreads)]),
    (gauge("phalanx_worker_queue_depth", "Jobs that wait for one."), &[(None, Field::QueueDepth)]),
    (gauge("phalanx_worker_streams", "Streams from request to answer that are under way."), &[(None, Field::Streams)]),
    (gauge("phalanx_job_processes", "Job processes of the worker."), &[(None, Field::JobProcesses)]),
    (
        gauge(
            "phalanx_job_sandbox_landlock",
            "Version of Landlock that confines the worker's job processes; 0 without.",
        ),
        &[(None, Field::JobLandlock)],
    ),
    (
        gauge("phalanx_job_sandbox_seccomp", "1 if a filter of system calls confines the worker's job processes."),
        &[(None, Field::JobSeccomp)],
    ),
    (gauge("phalanx_worker_resident_bytes", "Resident memory, as last sampled."), &[(None, Field::ResidentBytes)]),
    (
        gauge("phalanx_worker_proportional_bytes", "Resident memory, each page divided by those who share it (PSS)."),
        &[(None, Field::ProportionalBytes)],
    ),
    (
        gauge("phalanx_worker_unique_bytes", "Resident memory that no other process maps (USS)."),
        &[(None, Field::UniqueBytes)],
    ),
    (gauge("phalanx_worker_anonymous_bytes", "Resident memory of heap and stacks."), &[(None, Field::AnonymousBytes)]),
    (
        gauge("phalanx_worker_file_bytes", "Resident memory that files are mapped to: the program and its libraries."),
        &[(None, Field::FileBytes)],
    ),
    (gauge("phalanx_worker_shared_bytes", "Resident memory that is shared memory."), &[(None, Field::SharedBytes)]),
    (
        gauge(
            "phalanx_worker_heap_bytes",
            "What the allocator says: allocated and not freed (live), held to serve that, kept but given back to the system.",
        ),
        &[
            (Some(("state", "allocated")), Field::AllocatedBytes),
            (Some(("state", "active")), Field::ActiveBytes),
            (Some(("state", "retained")), Field::RetainedBytes),
        ],
    ),
    (
        gauge("phalanx_worker_budget_bytes", "Memory that admission may reserve at most; 0 without a budget."),
        &[(None, Field::BudgetBytes)],
    ),
    (
        gauge("phalanx_worker_reserved_bytes", "Memory that admission has reserved for requests in work."),
        &[(None, Field::ReservedBytes)],
    ),
    (
        gauge("phalanx_worker_peak_reserved_bytes", "Most memory that was ever reserved at once."),
        &[(None, Field::PeakReservedBytes)],
    ),
    (gauge("phalanx_worker_open_descriptors", "Open file descriptors."), &[(None, Field::Descriptors)]),
    (gauge("phalanx_worker_leaks_suspected", "Leaks suspected since the worker began."), &[(None, Field::Leaks)]),
];

/// Who each worker is: the value is always 1.
pub(super) const WORKER_INFO: Family =
    gauge("phalanx_worker_info", "A worker that lives: its place, process and generation.");

/// Which version this is: the value is always 1.
pub(super) const BUILD_INFO: Family = gauge("phalanx_build_info", "The version of Phalanx.");
