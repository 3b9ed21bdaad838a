//! [`Field`]: what a worker says of itself.

/// What a slot holds. All are plain counts but where a unit is named, and all are of the worker that has the slot now: they
/// begin at zero with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Process id of the worker, 0 while the slot is vacant.
    Pid = 1,
    /// Number of the worker process in this cluster, from 1, never used twice.
    Worker = 2,
    /// Grows by one a second while the worker's event loop turns.
    Heartbeat = 3,
    /// 1 while the worker takes new connections.
    Accepting = 4,
    /// Connections that are open now.
    Connections = 5,
    /// Connections accepted since the worker began.
    Accepted = 6,
    /// Requests begun since the worker began.
    Requests = 7,
    /// Requests begun and not yet answered.
    InFlight = 8,
    /// Jobs that have a thread, or a job process, now.
    BusyThreads = 9,
    /// Jobs that wait for one.
    QueueDepth = 10,
    /// Resident memory in bytes, as last sampled.
    ResidentBytes = 11,
    /// Connections for which the accept gate waited, because another worker had fewer.
    Deferred = 12,
    /// Answers with a status from 100 to 199 (101: the connection was upgraded).
    Responses1xx = 13,
    /// Answers with a status from 200 to 299.
    Responses2xx = 14,
    /// Answers with a status from 300 to 399.
    Responses3xx = 15,
    /// Answers with a status from 400 to 499.
    Responses4xx = 16,
    /// Answers with a status from 500 to 599.
    Responses5xx = 17,
    /// Requests refused because the worker had too much to do (503 of the admission).
    Shed = 18,
    /// Connections refused because their client has too many (429).
    Refused = 19,
    /// Requests and connections ended because they took too long.
    TimedOut = 20,
    /// Connections that spoke HTTP/2.
    Http2Connections = 21,
    /// TLS handshakes that were completed.
    TlsHandshakes = 22,
    /// TLS handshakes that failed.
    TlsFailures = 23,
    /// Upgraded connections (WebSocket) that are open now.
    Upgraded = 24,
    /// Jobs given to the pool since the worker began.
    JobsSubmitted = 25,
    /// Jobs that the pool has done.
    JobsDone = 26,
    /// Jobs that failed, by an error or a panic.
    JobsFailed = 27,
    /// Jobs that the pool refused, or dropped before they ran, because they would have waited too long.
    JobsRefused = 28,
    /// The place that the worker has, plus one; 0 if the worker does not say.
    Place = 29,
    /// The generation of the worker's settings.
    SettingsGeneration = 30,
    /// When the worker began, in seconds since 1970.
    StartedAt = 31,
    /// Connections that were passed to another worker.
    PassedOn = 32,
    /// Job processes that there are now.
    JobProcesses = 33,
    /// Job processes that died of a task or by themselves.
    JobCrashes = 34,
    /// Jobs refused because their input had killed its process too often.
    JobsPoisoned = 35,
    /// The version of Landlock that confines the job processes; 0 without.
    JobLandlock = 36,
    /// 1 if a filter of system calls confines the job processes.
    JobSeccomp = 37,
}

impl Field {
    /// Every field, in the order of the layout.
    pub const ALL: [Field; 37] = [
        Field::Pid,
        Field::Worker,
        Field::Heartbeat,
        Field::Accepting,
        Field::Connections,
        Field::Accepted,
        Field::Requests,
        Field::InFlight,
        Field::BusyThreads,
        Field::QueueDepth,
        Field::ResidentBytes,
        Field::Deferred,
        Field::Responses1xx,
        Field::Responses2xx,
        Field::Responses3xx,
        Field::Responses4xx,
        Field::Responses5xx,
        Field::Shed,
        Field::Refused,
        Field::TimedOut,
        Field::Http2Connections,
        Field::TlsHandshakes,
        Field::TlsFailures,
        Field::Upgraded,
        Field::JobsSubmitted,
        Field::JobsDone,
        Field::JobsFailed,
        Field::JobsRefused,
        Field::Place,
        Field::SettingsGeneration,
        Field::StartedAt,
        Field::PassedOn,
        Field::JobProcesses,
        Field::JobCrashes,
        Field::JobsPoisoned,
        Field::JobLandlock,
        Field::JobSeccomp,
    ];

    /// The field that counts answers with this status; `None` if it is no status of HTTP.
    pub fn of_status(status: u16) -> Option<Field> {
        match status {
            100..=199 => Some(Field::Responses1xx),
            200..=299 => Some(Field::Responses2xx),
            300..=399 => Some(Field::Responses3xx),
            400..=499 => Some(Field::Responses4xx),
            500..=599 => Some(Field::Responses5xx),
            _ => None,
        }
    }

    /// Whether it only grows, so that the values of workers that have ended still count in the sum over the cluster.
    pub fn is_counter(self) -> bool {
        match self {
            Field::Accepted
            | Field::Requests
            | Field::Deferred
            | Field::Responses1xx
            | Field::Responses2xx
            | Field::Responses3xx
            | Field::Responses4xx
            | Field::Responses5xx
            | Field::Shed
            | Field::Refused
            | Field::TimedOut
            | Field::Http2Connections
            | Field::TlsHandshakes
            | Field::TlsFailures
            | Field::JobsSubmitted
            | Field::JobsDone
            | Field::JobsFailed
            | Field::JobsRefused
            | Field::PassedOn
            | Field::JobCrashes
            | Field::JobsPoisoned => true,
            Field::Pid
            | Field::Worker
            | Field::Heartbeat
            | Field::Accepting
            | Field::Connections
            | Field::InFlight
            | Field::BusyThreads
            | Field::QueueDepth
            | Field::ResidentBytes
            | Field::Upgraded
            | Field::Place
            | Field::SettingsGeneration
            | Field::StartedAt
            | Field::JobProcesses
            | Field::JobLandlock
            | Field::JobSeccomp => false,
        }
    }
}
