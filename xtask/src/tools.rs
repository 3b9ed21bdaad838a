//! The programs that some tests need and that cargo cannot bring: found, installed or named.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// A program outside the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Names under which distributions install it, the preferred one first.
    programs: &'static [&'static str],
    /// The Debian package that brings it.
    package: &'static str,
    /// What cannot be tested without it.
    pub(crate) needed_for: &'static str,
}

pub(crate) const CHROMIUM: Tool = Tool {
    programs: &["chromium", "chromium-browser", "google-chrome"],
    package: "chromium",
    needed_for: "the browser test of the page at /",
};
pub(crate) const NODE: Tool = Tool {
    programs: &["node", "nodejs"],
    package: "nodejs",
    needed_for: "the browser test and the tests with Node peers",
};
pub(crate) const NPM: Tool = Tool {
    programs: &["npm"],
    package: "npm",
    needed_for: "the packages of the browser test, of the Node peers and of the Node versions",
};

pub(crate) const CXX: Tool = Tool {
    programs: &["c++", "g++", "clang++"],
    package: "g++",
    needed_for: "libFuzzer, which drives the fuzz targets",
};
pub(crate) const VALGRIND: Tool =
    Tool { programs: &["valgrind"], package: "valgrind", needed_for: "the unit tests under valgrind" };

/// All that `cargo xtask test` looks for.
pub(crate) const FOR_TESTS: [Tool; 3] = [CHROMIUM, NODE, NPM];

/// What may be done about a missing tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Install it; fail if that does not work.
    Install,
    /// Say how to install it and what is skipped.
    Skip,
}

impl Missing {
    /// Under `CI=true` nothing may be skipped; elsewhere nothing is installed unasked.
    pub(crate) fn allowed() -> Self {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        if in_ci { Self::Install } else { Self::Skip }
    }
}

impl Tool {
    /// Where it is installed, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        self.programs.iter().find_map(|program| find_program(program))
    }
}

/// Makes `tools` available as far as `missing` allows.
pub(crate) fn provide(tools: &[Tool], missing: Missing) -> Result<(), Failure> {
    let absent: Vec<Tool> = tools.iter().copied().filter(|tool| tool.find().is_none()).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = absent.iter().map(|tool| tool.package).collect();
    match missing {
        Missing::Skip => {
            println!("To install what is missing: sudo apt-get install --no-install-recommends {}", packages.join(" "));
            for tool in absent {
                println!("Skipped without {}: {}", tool.programs[0], tool.needed_for);
            }
            Ok(())
        }
        Missing::Install => {
            install(&packages)?;
            match absent.iter().find(|tool| tool.find().is_none()) {
                None => Ok(()),
                Some(tool) => Err(Failure::new(format!(
                    "{} is still missing after installing the package {}; it is needed for {}",
                    tool.programs[0], tool.package, tool.needed_for
                ))),
            }
        }
    }
}

fn install(packages: &[&str]) -> Result<(), Failure> {
    step::run(apt_get()?.arg("update"))?;
    step::run(apt_get()?.args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// `apt-get` with the rights to install and without a question.
fn apt_get() -> Result<Command, Failure> {
    let apt = find_program("apt-get")
        .ok_or_else(|| Failure::new("cannot install: there is no apt-get; install the packages by hand"))?;
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(apt)
    } else {
        let sudo = find_program("sudo")
            .ok_or_else(|| Failure::new("cannot install: not root, and there is no sudo; run this once as root"))?;
        let mut command = Command::new(sudo);
        command.arg("--non-interactive").arg(apt);
        command
    };
    command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// `npm ci` in `folder`, unless the installed packages are already those of its lock file or npm is missing.
pub(crate) fn install_node_packages(folder: &Path) -> Result<(), Failure> {
    let lock = folder.join("package-lock.json");
    let Some(npm) = NPM.find() else { return Ok(()) };
    if !lock.is_file() || is_newer(&folder.join("node_modules/.package-lock.json"), &lock) {
        return Ok(());
    }
    step::run(Command::new(npm).args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    matches!((changed(file), changed(than)), (Ok(file), Ok(than)) if file >= than)
}

fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| is_executable(candidate))
}

fn is_executable(candidate: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    candidate.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_is_found_and_an_unknown_one_is_not() {
        assert!(find_program("sh").is_some_and(|sh| sh.is_absolute()));
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }

    #[test]
    fn a_missing_tool_may_be_skipped() {
        let absent = Tool { programs: &["no-such-program-anywhere"], package: "none", needed_for: "nothing" };
        assert!(provide(&[absent], Missing::Skip).is_ok());
    }
}
