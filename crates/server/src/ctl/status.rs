//! The status as a table: one line for the cluster, one for each worker.

use serde_json::Value;

use crate::config::quantity::ByteSize;

/// What a person wants to see first: is it well, what is it doing, who is in it.
pub(super) fn table(status: &Value) -> String {
    let mut lines = vec![cluster_line(status)];
    let operation = &status["operation"];
    if operation.is_object() {
        lines.push(operation_line(operation));
    }
    let mut rows = vec![COLUMNS.map(|(title, _)| title.to_owned())];
    for worker in status["workers"].as_array().into_iter().flatten() {
        rows.push(COLUMNS.map(|(_, cell)| cell(worker)));
    }
    lines.extend(aligned(&rows));
    lines.join("\n")
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

fn operation_line(operation: &Value) -> String {
    let failure = operation["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    format!(
        "last operation: {} {} is {}{failure}",
        text(&operation["kind"]),
        text(&operation["operation"]),
        text(&operation["state"])
    )
}

/// What a column is called, and what stands in it.
type Column = (&'static str, fn(&Value) -> String);

const COLUMNS: [Column; 14] = [
    ("WORKER", |worker| text(&worker["worker"])),
    ("PLACE", |worker| text(&worker["place"])),
    ("PID", |worker| text(&worker["pid"])),
    ("STATE", |worker| text(&worker["state"])),
    ("GEN", |worker| text(&worker["generation"])),
    ("UP", |worker| duration(&worker["uptime_seconds"])),
    ("CONNS", |worker| text(&worker["connections"])),
    ("INFLIGHT", |worker| text(&worker["in_flight"])),
    ("REQUESTS", |worker| text(&worker["requests"])),
    ("QUEUE", |worker| text(&worker["queue_depth"])),
    ("JOBPROCS", |worker| text(&worker["job_processes"])),
    ("CRASHES", |worker| text(&worker["job_crashes"])),
    ("SANDBOX", |worker| text(&worker["sandbox"])),
    ("MEMORY", |worker| memory(&worker["resident_bytes"])),
];

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A worker that was not measured yet has none.
fn memory(bytes: &Value) -> String {
    bytes.as_u64().filter(|bytes| *bytes > 0).map_or("-".to_owned(), |bytes| ByteSize(bytes).to_string())
}

/// `93784` seconds become `1d2h`: two units tell enough.
fn duration(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_f64().map(|seconds| seconds as u64) else { return "-".to_owned() };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths: [usize; N] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_names_every_worker_and_a_failed_operation() {
        let status = json!({
            "version": "0.1.0", "pid": 7,
            "cluster": { "serving": 1, "wanted": 2, "generation": 3, "uptime_seconds": 93_784 },
            "operation": { "operation": 4, "kind": "reload", "state": "failed", "error": "no" },
            "workers": [{ "worker": 12, "place": 0, "pid": 99, "state": "serving", "resident_bytes": 1536,
                "job_processes": 2, "job_crashes": 1, "sandbox": "landlock 7, seccomp" }],
        });
        let table = table(&status);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "phalanx 0.1.0 pid 7, 1 of 2 workers serve, generation 3, up 1d2h");
        assert_eq!(lines[1], "last operation: reload 4 is failed: no");
        assert!(lines[2].starts_with("WORKER  PLACE  PID  STATE"), "{table}");
        assert!(lines[3].starts_with("12      0      99   serving") && lines[3].ends_with("1.5 KiB"), "{table}");
        assert!(lines[3].contains("2         1        landlock 7, seccomp  "), "{table}");
    }
}
