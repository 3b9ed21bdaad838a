//! `cargo xtask test`: cargo's tests, with brokers for those of the queues, then those of heap profiles and those that need a browser; nothing is skipped in silence, and nothing at all under `CI=true`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::brokers::Brokers;
use crate::features;
use crate::step::{self, Failure};
use crate::tools::{self, Missing};
use crate::verdicts::Verdicts;

/// In `tests/node` the packages are Node itself, in the versions that the channel is tested against.
const FOLDERS_WITH_NODE_PACKAGES: [&str; 3] = ["tests/browser", "tests/node", "bench/peers/node"];

/// Heap profiles need jemalloc as the allocator of the whole process: a build of its own, of one small crate.
const HEAP_PROFILES: [&str; 7] =
    ["test", "--package", "phalanx-memory", "--features", "heap-profile", "--test", "heap_profile"];

/// Runs the tests; `arguments` are `--install` and parts of test names.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(arguments)?;
    tools::provide(&tools::FOR_TESTS, plan.missing)?;
    for folder in FOLDERS_WITH_NODE_PACKAGES {
        tools::install_node_packages(&step::repository().join(folder))?;
    }
    let python = tools::install_python_packages(&step::target_folder()?.join("test-python"))?;

    let features = features::provide(plan.missing)?;
    let mut brokers = Brokers::start()?;
    step::run(step::cargo().args(["test", "--workspace", "--no-run", "--quiet"]).args(&features))?;

    let mut verdicts = Verdicts::default();
    let mut cargo_test = step::cargo();
    cargo_test.args(["test", "--workspace", "--no-fail-fast"]).args(&features).args(&plan.filters);
    cargo_test.envs(brokers.variables(plan.missing)?);
    if let Some(programs) = python {
        cargo_test.env("PHALANX_TEST_PYTHON_PROGRAMS", programs);
    }
    let photos = photos_beside_the_checkout();
    if let Some(photos) = &photos {
        cargo_test.env("PHALANX_PHOTOS", photos);
    }
    let mut runs = vec![cargo_test];
    if plan.filters.is_empty() && tools::MAKE.find().is_some() {
        let mut heap_profiles = step::cargo();
        heap_profiles.args(HEAP_PROFILES);
        runs.push(heap_profiles);
    }
    let mut failed = Vec::new();
    for run in &mut runs {
        let passed = step::run_watched(run, |line| verdicts.note(line))?;
        if !passed.succeeded {
            failed.push(passed.line);
        }
    }
    drop(brokers);

    if plan.filters.is_empty()
        && let Err(failure) = browser_tests(photos.as_deref(), plan.missing)
    {
        failed.push(failure.to_string());
    }
    print!("{verdicts}");
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join("; ")))) }
}

struct Plan {
    missing: Missing,
    filters: Vec<String>,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut plan = Self { missing: Missing::allowed(), filters: Vec::new() };
        for argument in arguments {
            match argument.as_str() {
                "--install" => plan.missing = Missing::Install,
                option if option.starts_with('-') => {
                    return Err(Failure::new(format!(
                        "test knows no option {option}; only --install and parts of test names"
                    )));
                }
                filter => plan.filters.push(filter.to_owned()),
            }
        }
        if plan.filters.len() > 1 {
            // libtest takes several filters, cargo itself only one before `--`.
            plan.filters.insert(0, "--".to_owned());
        }
        Ok(plan)
    }
}

/// Photos for the tests that like real ones: `PHALANX_PHOTOS`, or the folder `shared/photos` beside the checkout.
fn photos_beside_the_checkout() -> Option<OsString> {
    if let Some(photos) = std::env::var_os("PHALANX_PHOTOS") {
        return Some(photos);
    }
    let photos = step::repository().parent()?.join("shared/photos");
    photos.is_dir().then(|| photos.into_os_string())
}

/// Runs `tests/browser/` against the binary that cargo has built for the other tests, if both the folder and a browser are there.
fn browser_tests(photos: Option<&std::ffi::OsStr>, missing: Missing) -> Result<(), Failure> {
    let scripts = browser_scripts(&step::repository().join("tests/browser"));
    if scripts.is_empty() {
        return Ok(());
    }
    let (Some(node), Some(chromium)) = (tools::NODE.find(), tools::CHROMIUM.find()) else {
        return match missing {
            Missing::Skip => Ok(()),
            Missing::Install => Err(Failure::new("the browser test needs node and chromium")),
        };
    };
    // Built by cargo's tests, for those of the server.
    let server = step::target_folder()?.join("debug/phalanx");
    let mut tests = Command::new(node);
    tests.current_dir(step::repository()).arg("--test").args(scripts);
    tests.env("PHALANX_BIN", server).env("PHALANX_CHROMIUM", chromium);
    if let Some(photos) = photos {
        tests.env("PHALANX_PHOTOS", photos);
    }
    step::run(&mut tests)
}

fn browser_scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let is_test = |path: &PathBuf| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            [".test.js", ".test.mjs", ".test.cjs"].iter().any(|ending| name.ends_with(ending))
        })
    };
    let mut scripts: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_test).collect();
    scripts.sort();
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_is_named() {
        let failure = Plan::parse(&["--fast".to_owned()]).err().map(|failure| failure.to_string());
        assert!(failure.is_some_and(|text| text.contains("--fast")));
    }

    #[test]
    fn install_may_stand_before_or_after_the_names() {
        let plan = Plan::parse(&["gate".to_owned(), "--install".to_owned()]).expect("both are known");
        assert_eq!(plan.missing, Missing::Install);
        assert_eq!(plan.filters, ["gate"]);
    }
}
