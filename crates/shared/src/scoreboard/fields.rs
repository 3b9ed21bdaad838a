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
    /// Streams from request to answer that are under way now.
    Streams = 38,
    /// Streams that compress, begun since the worker began.
    StreamsCompress = 39,
    /// Streams that decompress.
    StreamsDecompress = 40,
    /// Streams that encrypt.
    StreamsEncrypt = 41,
    /// Streams that decrypt.
    StreamsDecrypt = 42,
    /// Streams that hash.
    StreamsHash = 43,
    /// Streams that gave all of their answer.
    StreamsDone = 44,
    /// Streams refused before their answer began: by what was sent, or because there was too much to do.
    StreamsRefused = 45,
    /// Streams cut off in the middle of their answer because of what came, or because something failed.
    StreamsCut = 46,
    /// Streams whose client was gone before the end, or whose worker left.
    StreamsAbandoned = 47,
    /// Bytes that streams read.
    StreamBytesIn = 48,
    /// Bytes that streams gave.
    StreamBytesOut = 49,
    /// Resident memory in bytes, each page divided by the number of processes that share it (PSS).
    ProportionalBytes = 50,
    /// Resident memory in bytes that only this process maps (USS).
    UniqueBytes = 51,
    /// Resident memory in bytes of heap and stacks.
    AnonymousBytes = 52,
    /// Resident memory in bytes that files are mapped to: the program and its libraries.
    FileBytes = 53,
    /// Resident memory in bytes that is shared memory.
    SharedBytes = 54,
    /// Bytes that the program has allocated and not freed, as its allocator counts them: live bytes.
    AllocatedBytes = 55,
    /// Bytes that the allocator holds to serve them, in whole pages.
    ActiveBytes = 56,
    /// Bytes of address space that the allocator keeps and has given back to the system.
    RetainedBytes = 57,
    /// Bytes that admission may reserve at most; 0 without a budget.
    BudgetBytes = 58,
    /// Bytes that admission has reserved for the requests in work.
    ReservedBytes = 59,
    /// Most bytes that were ever reserved at once.
    PeakReservedBytes = 60,
    /// Open file descriptors.
    Descriptors = 61,
    /// Leaks that are suspected since the worker began.
    Leaks = 62,
}

impl Field {
    /// Every field, in the order of the layout.
    pub const ALL: [Field; 62] = [
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
        Field::Streams,
        Field::StreamsCompress,
        Field::StreamsDecompress,
        Field::StreamsEncrypt,
        Field::StreamsDecrypt,
        Field::StreamsHash,
        Field::StreamsDone,
        Field::StreamsRefused,
        Field::StreamsCut,
        Field::StreamsAbandoned,
        Field::StreamBytesIn,
        Field::StreamBytesOut,
        Field::ProportionalBytes,
        Field::UniqueBytes,
        Field::AnonymousBytes,
        Field::FileBytes,
        Field::SharedBytes,
        Field::AllocatedBytes,
        Field::ActiveBytes,
        Field::RetainedBytes,
        Field::BudgetBytes,
        Field::ReservedBytes,
        Field::PeakReservedBytes,
        Field::Descriptors,
        Field::Leaks,
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
            | Field::JobsPoisoned
            | Field::StreamsCompress
            | Field::StreamsDecompress
            | Field::StreamsEncrypt
            | Field::StreamsDecrypt
            | Field::StreamsHash
            | Field::StreamsDone
            | Field::StreamsRefused
            | Field::StreamsCut
            | Field::StreamsAbandoned
            | Field::StreamBytesIn
            | Field::Leaks
            | Field::StreamBytesOut => true,
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
            | Field::JobSeccomp
            | Field::ProportionalBytes
            | Field::UniqueBytes
            | Field::AnonymousBytes
            | Field::FileBytes
            | Field::SharedBytes
            | Field::AllocatedBytes
            | Field::ActiveBytes
            | Field::RetainedBytes
            | Field::BudgetBytes
            | Field::ReservedBytes
            | Field::PeakReservedBytes
            | Field::Descriptors
            | Field::Streams => false,
        }
    }
}
