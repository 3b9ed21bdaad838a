//! `phalanx ctl heap-profile`: what the heap of a worker holds, as a file for `go tool pprof` and as a picture.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::arguments::{HeapProfileArguments, HeapWish};
use super::client::Client;
use super::tell;
use crate::config::quantity::ByteSize;
use crate::start::Failure;

/// For one worker, which gets this long from the server too.
const PATIENCE: Duration = Duration::from_secs(65);

/// Switches sampling, or takes a profile.
pub(super) async fn perform(client: &Client, arguments: &HeapProfileArguments, as_json: bool) -> Result<(), Failure> {
    match arguments.wish().map_err(Failure::Setting)? {
        HeapWish::Switch { on, worker } => switch(client, on, worker, as_json).await,
        HeapWish::Take(worker) => take(client, worker, arguments, as_json).await,
    }
}

async fn switch(client: &Client, on: bool, worker: Option<u32>, as_json: bool) -> Result<(), Failure> {
    let path = path_of(worker, if on { "on" } else { "off" });
    let answer = client.post_within(&path, PATIENCE).await?;
    tell(as_json, &answer, |answer| {
        let workers: Vec<String> = answer["workers"].as_array().into_iter().flatten().map(Value::to_string).collect();
        let workers = workers.join(", ");
        match on {
            true => {
                format!("workers {workers} sample their heaps; let them work, then: phalanx ctl heap-profile -o FILE")
            }
            false => format!("workers {workers} do not sample their heaps any more"),
        }
    });
    Ok(())
}

async fn take(
    client: &Client,
    mut worker: Option<u32>,
    arguments: &HeapProfileArguments,
    as_json: bool,
) -> Result<(), Failure> {
    let wanted = [("pprof", &arguments.output), ("flame-graph", &arguments.flame_graph)];
    let wanted = wanted.into_iter().filter_map(|(kind, to)| Some((kind, Target::of(to.as_deref()?))));
    let mut told = json!({});
    for (kind, target) in wanted {
        let target = target.map_err(Failure::Setting)?;
        let (head, bytes) = client.post_for_bytes(&path_of(worker, kind), PATIENCE).await?;
        target.write(&bytes).map_err(|error| Failure::Other(format!("cannot write {target}: {error}")))?;
        // Both speak of the same worker.
        worker = number(&head, "phalanx-worker").and_then(|number| u32::try_from(number).ok());
        told["worker"] = json!(worker);
        if kind == "pprof" || told["live_bytes"].is_null() {
            told["live_bytes"] = json!(number(&head, "phalanx-live-bytes"));
            told["samples"] = json!(number(&head, "phalanx-samples"));
        }
        told[kind] = json!(target.to_string());
    }
    let line = if as_json { told.to_string() } else { sentence(&told) };
    // The profile itself may be on standard output.
    let to_stdout = [&arguments.output, &arguments.flame_graph].iter().any(|to| to.as_deref() == Some(Path::new("-")));
    let _ = if to_stdout { writeln!(io::stderr(), "{line}") } else { writeln!(io::stdout(), "{line}") };
    Ok(())
}

fn sentence(told: &Value) -> String {
    let live = ByteSize(told["live_bytes"].as_u64().unwrap_or(0));
    let mut line = format!("worker {}: {live} live in {} samples", told["worker"], told["samples"]);
    if let Some(file) = told["flame-graph"].as_str() {
        line += &format!(", flame graph in {file}");
    }
    if let Some(file) = told["pprof"].as_str() {
        line += &format!(", written to {file}; look at it with: go tool pprof -http=: {file}");
    }
    line
}

fn path_of(worker: Option<u32>, kind: &str) -> String {
    match worker {
        Some(worker) => format!("/heap-profile?as={kind}&worker={worker}"),
        None => format!("/heap-profile?as={kind}"),
    }
}

fn number(head: &HeaderMap, name: &str) -> Option<u64> {
    head.get(name)?.to_str().ok()?.parse().ok()
}

/// Where a file goes.
enum Target {
    Stdout,
    File(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Stdout => f.write_str("standard output"),
            Target::File(path) => path.display().fmt(f),
        }
    }
}

impl Target {
    /// What cannot be written is said before the server is asked.
    fn of(path: &Path) -> Result<Target, String> {
        if path == Path::new("-") {
            return match io::stdout().is_terminal() {
                true => Err("a profile is nothing for a terminal; name a file, or pipe it somewhere".into()),
                false => Ok(Target::Stdout),
            };
        }
        if path.is_dir() || path.file_name().is_none() {
            return Err(format!("{} is a folder; name a file", path.display()));
        }
        Ok(Target::File(path.to_owned()))
    }

    /// All of it, or what was there before.
    fn write(&self, bytes: &Bytes) -> io::Result<()> {
        let path = match self {
            Target::Stdout => return io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Target::File(path) => path,
        };
        let mut part = path.file_name().unwrap_or_default().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(part);
        let written = File::create_new(&part).and_then(|mut file| file.write_all(bytes));
        let renamed = written.and_then(|()| std::fs::rename(&part, path));
        if renamed.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
            let _ = std::fs::remove_file(&part);
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_to_type_next() {
        let told = json!({ "worker": 3, "live_bytes": 50_541_363_u64, "samples": 93, "pprof": "a.pb.gz", "flame-graph": "a.svg" });
        assert_eq!(
            sentence(&told),
            "worker 3: 48.2 MiB live in 93 samples, flame graph in a.svg, written to a.pb.gz; \
             look at it with: go tool pprof -http=: a.pb.gz"
        );
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_folder_never() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pb.gz");
        std::fs::write(&file, "old").unwrap();
        Target::of(&file).unwrap().write(&Bytes::from_static(b"new")).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(Target::of(folder.path()).is_err());
        assert!(Target::of(&folder.path().join("not/there")).unwrap().write(&Bytes::new()).is_err());
    }
}
