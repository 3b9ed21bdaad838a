//! `cargo xtask test`: cargo's tests, then those that need a browser; nothing is skipped in silence, and nothing at all under `CI=true`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};
use crate::tools::{self, Missing};

/// In `tests/node` the packages are Node itself, in the versions that the channel is tested against.
const FOLDERS_WITH_NODE_PACKAGES: [&str; 3] = ["tests/browser", "tests/node", "bench/peers/node"];

/// Runs the tests; `arguments` are `--install` and parts of test names.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(arguments)?;
    tools::provide(&tools::FOR_TESTS, plan.missing)?;
    for folder in FOLDERS_WITH_NODE_PACKAGES {
        tools::install_node_packages(&step::repository().join(folder))?;
    }

    let mut verdicts = Verdicts::default();
    let mut cargo_test = step::cargo();
    cargo_test.args(["test", "--workspace", "--no-fail-fast"]).args(&plan.filters);
    let photos = photos_beside_the_checkout();
    if let Some(photos) = &photos {
        cargo_test.env("PHALANX_PHOTOS", photos);
    }
    let passed = step::run_watched(&mut cargo_test, |line| verdicts.note(line))?;
    let mut failed: Vec<String> = if passed.succeeded { Vec::new() } else { vec![passed.line] };

    if plan.filters.is_empty()
        && let Err(failure) = browser_tests(photos.as_deref(), plan.missing)
    {
        failed.push(failure.to_string());
    }
    verdicts.print();
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

/// The lines `test result: …` of all test programs, so that they can stand together at the end.
#[derive(Default)]
struct Verdicts(Vec<String>);

impl Verdicts {
    fn note(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            self.0.push(line.to_owned());
        }
    }

    fn print(&self) {
        println!("\n==> results of {} test programs", self.0.len());
        for verdict in &self.0 {
            println!("{verdict}");
        }
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

/// Runs `tests/browser/` against the debug binary, if both the folder and a browser are there.
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
    step::run(step::cargo().args(["build", "--package", "phalanx-server"]))?;
    let mut tests = Command::new(node);
    tests.current_dir(step::repository()).arg("--test").args(scripts);
    tests.env("PHALANX_BIN", step::target_folder()?.join("debug/phalanx")).env("PHALANX_CHROMIUM", chromium);
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
    fn only_results_are_kept_for_the_end() {
        let mut verdicts = Verdicts::default();
        verdicts.note("running 2 tests");
        verdicts.note("test result: ok. 2 passed; 0 failed; 0 ignored");
        assert_eq!(verdicts.0, ["test result: ok. 2 passed; 0 failed; 0 ignored"]);
    }

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
