//! `cargo xtask fuzz`: hostile bytes for everything that reads from another process, a file or an upload, with AddressSanitizer.
//!
//! The targets are programs of `fuzz/`, a workspace of its own, so that no other build knows of them. They are built by the
//! same stable compiler as everything else: what is still unstable about sanitizers is switched on for this build alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sanitizer;
use crate::step::{self, Failure};
use crate::tools::{self, Missing};

/// One for each decoder.
const TARGETS: [&str; 11] = [
    "channel_frames",
    "jpeg_decoder",
    "node_json",
    "node_advanced",
    "picture_gif",
    "picture_jpeg",
    "picture_png",
    "picture_webp",
    "stream_age",
    "stream_gzip",
    "stream_zstd",
];
/// What a run takes when nothing else is said.
const DEFAULT_SECONDS: u64 = 30;

/// Longest input: several frames, so that there is something to split.
const INPUT_BYTES: usize = 16 * 1024;
/// One input takes less than a millisecond; one that takes this long is a finding.
const INPUT_SECONDS: u64 = 10;
/// The targets set limits of 1 MiB, or 4 for streams: who takes this much at once has believed an announced length.
const ALLOCATION_MEBIBYTES: usize = 32;
/// Of one target with its corpus and what AddressSanitizer needs.
const RESIDENT_MEBIBYTES: usize = 1024;
/// A target stops by itself when its time is over; this long after it, it hangs.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
const SHOWN_LOG_LINES: usize = 40;

/// Compiles coverage counters and comparisons into the code, for libFuzzer to steer by.
const COVERAGE_FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// An overflow or a broken assertion is a finding too.
const CHECK_FLAGS: [&str; 3] = ["-Cdebug-assertions", "-Coverflow-checks", "--cfg=fuzzing"];

/// `cargo xtask fuzz [TARGET…] [--seconds N] [--again FILE]`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(arguments)?;
    tools::provide(&[tools::CXX], Missing::allowed())?;
    let built = Built::new()?;
    match plan.again {
        Some(input) => built.again(&plan.targets, &input),
        None => built.search(&plan.targets, plan.seconds),
    }
}

/// All targets for `seconds` each, side by side.
pub(crate) fn run_all(seconds: u64) -> Result<(), Failure> {
    run(&["--seconds".to_owned(), seconds.to_string()])
}

#[derive(Debug)]
struct Plan {
    targets: Vec<&'static str>,
    seconds: u64,
    again: Option<PathBuf>,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut plan = Self { targets: Vec::new(), seconds: DEFAULT_SECONDS, again: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| Failure::new(format!("{argument} needs a value")));
            match argument.as_str() {
                "--seconds" => {
                    let text = value()?;
                    plan.seconds = text
                        .parse()
                        .ok()
                        .filter(|seconds| *seconds > 0)
                        .ok_or_else(|| Failure::new(format!("--seconds takes a number above 0, not {text:?}")))?;
                }
                "--again" => plan.again = Some(PathBuf::from(value()?)),
                name => match TARGETS.into_iter().find(|target| *target == name) {
                    Some(target) => plan.targets.push(target),
                    None => return Err(Failure::new(format!("there is no target {name:?}, only {TARGETS:?}"))),
                },
            }
        }
        if plan.again.is_some() && plan.targets.len() != 1 {
            return Err(Failure::new("--again needs exactly one target, the one that the input is for"));
        }
        if plan.targets.is_empty() {
            plan.targets.extend(TARGETS);
        }
        Ok(plan)
    }
}

/// The programs, and where their files are.
struct Built {
    programs: PathBuf,
    folder: PathBuf,
}

impl Built {
    fn new() -> Result<Self, Failure> {
        let folder = step::target_folder()?.join("fuzz");
        let host = sanitizer::host()?;
        let mut build = step::cargo();
        // Not `--locked`: a crate of ours that gets a dependency would need a second lock file changed at once.
        build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
        build.args(["--target", &host, "--target-dir"]).arg(&folder);
        let flags = [sanitizer::ADDRESS].into_iter().chain(COVERAGE_FLAGS).chain(CHECK_FLAGS);
        step::run(sanitizer::allow(&mut build, flags))?;
        Ok(Self { programs: folder.join(host).join("release"), folder })
    }

    /// Looks for findings with all of `targets` side by side.
    fn search(&self, targets: &[&str], seconds: u64) -> Result<(), Failure> {
        println!("\n==> fuzzing {} side by side for {seconds} s", targets.join(", "));
        let deadline = Instant::now() + Duration::from_secs(seconds) + STOP_DEADLINE;
        let mut running = Vec::new();
        for target in targets {
            running.push(self.start(target, seconds)?);
        }
        let mut failed = Vec::new();
        for mut target in running {
            let verdict = target.wait(deadline)?;
            println!("{}: {}", target.name, target.statistics());
            if let Verdict::Finding(why) = verdict {
                println!("{}", target.what_was_found());
                failed.push(format!("{}: {why}; {}", target.name, self.how_to_repeat(target.name)));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("\n"))) }
    }

    /// Runs `target` on one input only.
    fn again(&self, targets: &[&str], input: &Path) -> Result<(), Failure> {
        let here = std::env::current_dir().unwrap_or_default().join(input);
        step::run(self.command(targets[0]).arg(here))
    }

    fn start<'a>(&self, name: &'a str, seconds: u64) -> Result<Running<'a>, Failure> {
        let (corpus, artifacts) = (self.folder_for("corpus", name)?, self.folder_for("artifacts", name)?);
        let (variable, options) = sanitizer::ADDRESS_OPTIONS;
        step::output(Command::new(self.programs.join("seeds")).arg(name).arg(&corpus).env(variable, options))?;
        let log = self.folder.join(format!("{name}.log"));
        let cannot_log = |error: std::io::Error| Failure::new(format!("cannot write {}: {error}", log.display()));
        let to_log = File::create(&log).map_err(cannot_log)?;
        let process = self
            .command(name)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1")
            // To name a function it starts a program and keeps two pipes to it, which the targets would take for a leak.
            .arg("-print_funcs=0")
            .arg(&corpus)
            // What was found earlier is tried before anything new.
            .arg(&artifacts)
            .stdin(Stdio::null())
            .stdout(to_log.try_clone().map_err(cannot_log)?)
            .stderr(to_log)
            .spawn()
            .map_err(|error| Failure::new(format!("cannot start the target {name}: {error}")))?;
        Ok(Running { name, process, log })
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(self.programs.join(target));
        let (variable, options) = sanitizer::ADDRESS_OPTIONS;
        command
            .env(variable, options)
            .arg(format!("-max_len={INPUT_BYTES}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .arg(format!("-malloc_limit_mb={ALLOCATION_MEBIBYTES}"))
            .arg(format!("-rss_limit_mb={RESIDENT_MEBIBYTES}"));
        command
    }

    fn folder_for(&self, what: &str, target: &str) -> Result<PathBuf, Failure> {
        let folder = self.folder.join(what).join(target);
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::new(format!("cannot create {}: {error}", folder.display())))?;
        Ok(folder)
    }

    fn how_to_repeat(&self, target: &str) -> String {
        let folder = self.folder.join("artifacts").join(target);
        let newest = std::fs::read_dir(&folder).ok().and_then(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok())
        });
        match newest {
            Some(input) => {
                format!("the input is {0}; repeat with `cargo xtask fuzz {target} --again {0}`", input.display())
            }
            None => format!("no input was kept in {}", folder.display()),
        }
    }
}

enum Verdict {
    Nothing,
    Finding(String),
}

struct Running<'a> {
    name: &'a str,
    process: Child,
    log: PathBuf,
}

impl Running<'_> {
    fn wait(&mut self, deadline: Instant) -> Result<Verdict, Failure> {
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(Verdict::Nothing),
                Ok(Some(status)) => return Ok(Verdict::Finding(format!("ended with {status}"))),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(BETWEEN_LOOKS),
                Ok(None) => return Ok(Verdict::Finding("does not stop although its time is over".into())),
                Err(error) => return Err(Failure::new(format!("cannot wait for {}: {error}", self.name))),
            }
        }
    }

    /// What libFuzzer said at the end.
    fn statistics(&self) -> String {
        let log = self.text();
        let after = |label: &str| {
            log.lines().rev().find_map(|line| Some(line.split_once(label)?.1.split_whitespace().next()?.to_owned()))
        };
        let or_unknown = |figure: Option<String>| figure.unwrap_or_else(|| "?".to_owned());
        format!(
            "{} inputs, {} a second, {} MiB, coverage {}",
            or_unknown(after("stat::number_of_executed_units:")),
            or_unknown(after("stat::average_exec_per_sec:")),
            or_unknown(after("stat::peak_rss_mb:")),
            or_unknown(after(" cov: "))
        )
    }

    /// From the panic's message or the sanitizer's report on.
    fn what_was_found(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let begins = |line: &&str| line.contains("panicked at") || line.contains("ERROR: ");
        let first = lines.iter().position(begins).unwrap_or(lines.len().saturating_sub(SHOWN_LOG_LINES));
        lines[first..].iter().take(SHOWN_LOG_LINES).copied().collect::<Vec<_>>().join("\n")
    }

    fn text(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Plan::parse(&arguments).map_err(|failure| failure.to_string())
    }

    #[test]
    fn without_a_name_all_targets_run() {
        let plan = plan("--seconds 600").unwrap();
        assert_eq!((plan.targets, plan.seconds), (TARGETS.to_vec(), 600));
    }

    #[test]
    fn a_wrong_name_or_time_is_named() {
        assert!(plan("node_yaml").unwrap_err().contains("node_yaml"));
        assert!(plan("--seconds soon").unwrap_err().contains("soon"));
        assert!(plan("--seconds").unwrap_err().contains("needs a value"));
        assert!(plan("--again input").unwrap_err().contains("one target"));
    }
}
