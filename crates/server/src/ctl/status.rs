//! The status as a table: lines for the cluster, its memory and its job processes, and one for each worker.

use serde_json::Value;

use crate::config::quantity::ByteSize;
use crate::text_table::aligned;

/// What a person wants to see first: is it well, what is it doing, who is in it. On a terminal the columns that matter least
/// are left out until a line fits; `--json` has all figures.
pub(super) fn table(status: &Value) -> String {
    table_within(status, terminal_columns())
}

/// How wide a line may be; without a terminal, as wide as it likes.
fn terminal_columns() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => usize::MAX,
    }
}

fn table_within(status: &Value, width: usize) -> String {
    let mut lines = vec![cluster_line(status)];
    lines.extend(memory_line(&status["cluster"]["memory"]));
    let operation = &status["operation"];
    if operation.is_object() {
        lines.push(operation_line(operation));
    }
    lines.extend(status["companions"].as_array().into_iter().flatten().map(companion_line));
    let workers = status["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.extend(job_processes_line(workers));
    lines.extend(worker_lines(&columns_for(status, workers), workers, width));
    lines.join("\n")
}

/// A program that is no code of ours tells little of itself: of such workers, columns without any figure are left out.
fn columns_for(status: &Value, workers: &[Value]) -> Vec<&'static Column> {
    let are_programs = status["about"]["program"].is_string();
    let says_nothing = |column: &Column| workers.iter().all(|worker| matches!(&*(column.cell)(worker), "0" | "-"));
    COLUMNS.iter().filter(|column| !(are_programs && column.of_our_code && says_nothing(column))).collect()
}

/// The columns that fit, those of the highest rank first.
fn worker_lines(columns: &[&Column], workers: &[Value], width: usize) -> Vec<String> {
    let lines_up_to = |rank: u8| {
        let columns = columns.iter().filter(|column| column.rank <= rank);
        let cells: Vec<Vec<String>> = columns
            .map(|column| std::iter::once(column.title.to_owned()).chain(workers.iter().map(column.cell)).collect())
            .collect();
        let rows: Vec<Vec<String>> =
            (0..=workers.len()).map(|row| cells.iter().map(|column| column[row].clone()).collect()).collect();
        aligned(&rows)
    };
    let fits = |lines: &Vec<String>| lines.iter().all(|line| line.chars().count() <= width);
    let ranks = columns.iter().map(|column| column.rank).max().unwrap_or(0);
    (0..=ranks).rev().map(lines_up_to).find(fits).unwrap_or_else(|| lines_up_to(0))
}

fn cluster_line(status: &Value) -> String {
    let cluster = &status["cluster"];
    format!(
        "phalanx {} pid {}, {} of {} workers serve, generation {}, up {}",
        text(&status["version"]),
        text(&status["pid"]),
        text(&cluster["serving"]),
        text(&cluster["wanted"]),
        text(&cluster["generation"]),
        duration(&cluster["uptime_seconds"]),
    )
}

/// Nothing, where the server is older than these figures.
fn memory_line(memory: &Value) -> Option<String> {
    let limit = memory["limit_bytes"].as_u64().filter(|limit| *limit > 0)?;
    let pressure = memory["pressure_some"].as_f64().unwrap_or(0.0) * 100.0;
    let kills = match memory["out_of_memory_kills"].as_u64() {
        None | Some(0) => String::new(),
        Some(kills) => format!(", {kills} killed for lack of memory"),
    };
    Some(format!(
        "memory {} of {} ({}), pressure {pressure:.1} %, primary {}{kills}",
        ByteSize(memory["used_bytes"].as_u64().unwrap_or(0)),
        ByteSize(limit),
        text(&memory["limit_source"]),
        bytes(&memory["primary_resident_bytes"]),
    ))
}

/// What the workers say of their job processes, together: they have the same sandbox, but for a moment in a reload.
fn job_processes_line(workers: &[Value]) -> Option<String> {
    let sum = |name: &str| workers.iter().filter_map(|worker| worker[name].as_u64()).sum::<u64>();
    let mut sandboxes: Vec<&str> = workers.iter().filter_map(|worker| worker["sandbox"].as_str()).collect();
    sandboxes.sort_unstable();
    sandboxes.dedup();
    (!sandboxes.is_empty()).then(|| {
        format!(
            "job processes {}, crashes {}, sandbox {}",
            sum("job_processes"),
            sum("job_crashes"),
            sandboxes.join(" or ")
        )
    })
}

fn operation_line(operation: &Value) -> String {
    let failure = operation["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "last operation: {} {} is {}{failure}",
        text(&operation["kind"]),
        text(&operation["operation"]),
        text(&operation["state"])
    )
}

fn companion_line(companion: &Value) -> String {
    let name = text(&companion["name"]);
    let restarts = companion["restarts"].as_u64().unwrap_or(0);
    let last_end = match companion["last_end"].as_str() {
        Some(why) => format!("; the one before ended: {why}"),
        None => String::new(),
    };
    match companion["pid"].as_u64() {
        Some(pid) => {
            let up = duration(&companion["uptime_seconds"]);
            format!("companion {name}: pid {pid}, up {up}, {restarts} restarts{last_end}")
        }
        None => format!("companion {name}: not running, {restarts} restarts{last_end}"),
    }
}

/// A column of the workers.
struct Column {
    title: &'static str,
    cell: fn(&Value) -> String,
    /// How early it is left out where lines are short: the highest first, those of rank 0 never.
    rank: u8,
    /// Whether only workers with code of ours have such a figure.
    of_our_code: bool,
}

const fn column(title: &'static str, rank: u8, cell: fn(&Value) -> String) -> Column {
    Column { title, cell, rank, of_our_code: false }
}

const fn figure(title: &'static str, rank: u8, cell: fn(&Value) -> String) -> Column {
    Column { of_our_code: true, ..column(title, rank, cell) }
}

const COLUMNS: [Column; 17] = [
    column("WORKER", 0, |worker| text(&worker["worker"])),
    column("PLACE", 5, |worker| text(&worker["place"])),
    column("PID", 0, |worker| text(&worker["pid"])),
    column("STATE", 0, |worker| text(&worker["state"])),
    column("GEN", 4, |worker| text(&worker["generation"])),
    column("UP", 0, |worker| duration(&worker["uptime_seconds"])),
    column("CONNS", 0, |worker| text(&worker["connections"])),
    figure("INFLIGHT", 0, |worker| text(&worker["in_flight"])),
    figure("REQUESTS", 0, |worker| text(&worker["requests"])),
    figure("QUEUE", 2, |worker| text(&worker["queue_depth"])),
    figure("JOBPROCS", 3, |worker| text(&worker["job_processes"])),
    figure("CRASHES", 6, |worker| text(&worker["job_crashes"])),
    column("MEMORY", 0, |worker| bytes(&worker["resident_bytes"])),
    figure("UNIQUE", 1, |worker| bytes(&worker["unique_bytes"])),
    figure("LIVE", 0, |worker| bytes(&worker["allocated_bytes"])),
    figure("BUDGET", 0, budget),
    figure("FDS", 0, |worker| number(&worker["descriptors"])),
];

/// What is reserved, and how much may be.
fn budget(worker: &Value) -> String {
    let limit = bytes(&worker["budget_bytes"]);
    match (limit.as_str(), worker["reserved_bytes"].as_u64()) {
        ("-", _) => limit,
        (_, None | Some(0)) => format!("0/{limit}"),
        _ => format!("{}/{limit}", bytes(&worker["reserved_bytes"])),
    }
}

/// A worker that was not measured yet has none.
fn number(value: &Value) -> String {
    value.as_u64().filter(|number| *number > 0).map_or("-".to_owned(), |number| number.to_string())
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A size in few characters: `12.3M`, `2.0G`. A worker that was not measured yet has none.
pub(super) fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_u64().filter(|bytes| *bytes > 0) else { return "-".to_owned() };
    let (unit, worth) =
        [("G", 1u64 << 30), ("M", 1 << 20)].into_iter().find(|(_, worth)| bytes >= *worth).unwrap_or(("K", 1 << 10));
    let amount = bytes as f64 / worth as f64;
    if amount < 99.95 { format!("{amount:.1}{unit}") } else { format!("{amount:.0}{unit}") }
}

/// `93784` seconds become `1d2h`: two units tell enough.
pub(super) fn duration(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_f64().map(|seconds| seconds as u64) else { return "-".to_owned() };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_names_every_worker_and_a_failed_operation() {
        let status = json!({
            "version": "0.1.0", "pid": 7,
            "cluster": { "serving": 1, "wanted": 2, "generation": 3, "uptime_seconds": 93_784, "memory": {
                "limit_bytes": 2_u64 << 30, "limit_source": "cgroup", "used_bytes": 312 << 20, "pressure_some": 0.015,
                "primary_resident_bytes": 4 << 20, "out_of_memory_kills": 1 } },
            "operation": { "operation": 4, "kind": "reload", "state": "failed", "error": "no" },
            "companions": [{ "name": "queue", "pid": 8, "restarts": 1, "uptime_seconds": 61, "last_end": "SIGKILL" }],
            "workers": [{ "worker": 12, "place": 0, "pid": 99, "state": "serving", "resident_bytes": 120 << 20,
                "unique_bytes": 80 << 20, "allocated_bytes": 12_800 << 10, "budget_bytes": 1 << 30,
                "reserved_bytes": 1536 << 10, "descriptors": 31, "job_processes": 2, "job_crashes": 1, "sandbox": "landlock 7, seccomp" }],
        });
        let table = table_within(&status, usize::MAX);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "phalanx 0.1.0 pid 7, 1 of 2 workers serve, generation 3, up 1d2h");
        assert_eq!(
            lines[1],
            "memory 312 MiB of 2 GiB (cgroup), pressure 1.5 %, primary 4.0M, 1 killed for lack of memory"
        );
        assert_eq!(lines[2], "last operation: reload 4 is failed: no");
        assert_eq!(lines[3], "companion queue: pid 8, up 1m1s, 1 restarts; the one before ended: SIGKILL");
        assert_eq!(lines[4], "job processes 2, crashes 1, sandbox landlock 7, seccomp");
        assert!(lines[5].starts_with("WORKER  PLACE  PID  STATE"), "{table}");
        assert!(lines[6].starts_with("12      0      99   serving"), "{table}");
        assert!(lines[6].ends_with("120M    80.0M   12.5M  1.5M/1.0G  31"), "{table}");
    }

    /// A worker as long as they come.
    fn busy_worker() -> Value {
        json!({ "worker": 1234, "place": 11, "pid": 4_194_304, "state": "draining", "generation": 12, "uptime_seconds": 86_400 * 30,
            "connections": 2048, "in_flight": 1500, "requests": 123_456_789_u64, "queue_depth": 1024, "job_processes": 16,
            "job_crashes": 100, "resident_bytes": 123 << 20, "unique_bytes": 123 << 20, "allocated_bytes": 123 << 20,
            "budget_bytes": 9_u64 << 30, "reserved_bytes": 999 << 20, "descriptors": 2200 })
    }

    fn all() -> Vec<&'static Column> {
        COLUMNS.iter().collect()
    }

    #[test]
    fn programs_have_only_columns_that_say_something() {
        let worker = json!({ "worker": 1, "place": 0, "pid": 9, "state": "serving", "generation": 0, "uptime_seconds": 1,
            "connections": 0, "requests": 7, "resident_bytes": 43 << 20, "in_flight": 0, "job_processes": 0 });
        let mut status = json!({ "about": { "program": "node app.js" }, "workers": [worker] });
        let header = |status: &Value| table_within(status, usize::MAX).lines().nth(1).unwrap().to_owned();
        assert_eq!(header(&status), "WORKER  PLACE  PID  STATE    GEN  UP  CONNS  REQUESTS  MEMORY");
        status["about"] = json!({});
        assert!(header(&status).ends_with("BUDGET  FDS"));
    }

    #[test]
    fn on_a_narrow_terminal_what_matters_least_is_left_out() {
        let workers = [busy_worker()];
        for width in [160, 120, 100] {
            let lines = worker_lines(&all(), &workers, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            assert!(
                lines[0].contains("BUDGET") && lines[0].contains("LIVE") && lines[0].ends_with("FDS"),
                "{lines:#?}"
            );
        }
        assert!(worker_lines(&all(), &workers, 160)[0].contains("PLACE"));
        assert!(!worker_lines(&all(), &workers, 100)[0].contains("PLACE"));
        // Never less than what one looks for.
        assert_eq!(worker_lines(&all(), &workers, 10), worker_lines(&all(), &workers, 20));
    }

    #[test]
    fn sizes_are_short() {
        let short = |size: u64| bytes(&json!(size));
        assert_eq!([short(0), short(1536), short(12 << 20), short(150 << 20)], ["-", "1.5K", "12.0M", "150M"]);
        assert_eq!([short(2 << 30), bytes(&Value::Null)], ["2.0G", "-"]);
    }
}
