//! The programs that some tests need and that cargo cannot bring: found, installed or named.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// Something outside the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// What it is called when it is missing.
    name: &'static str,
    /// Where distributions install it, the preferred place first: a program on the PATH, or a path, in which one folder may
    /// be `*`.
    places: &'static [&'static str],
    /// The Debian package that brings it.
    package: &'static str,
    /// What cannot be done without it.
    pub(crate) needed_for: &'static str,
}

pub(crate) const CHROMIUM: Tool = Tool {
    name: "chromium",
    places: &["chromium", "chromium-browser", "google-chrome"],
    package: "chromium",
    needed_for: "the browser test of the page at /",
};
pub(crate) const NODE: Tool = Tool {
    name: "node",
    places: &["node", "nodejs"],
    package: "nodejs",
    needed_for: "the browser test and the tests with Node peers",
};
pub(crate) const NPM: Tool = Tool {
    name: "npm",
    places: &["npm"],
    package: "npm",
    needed_for: "the packages of the browser test, of the Node peers and of the Node versions",
};

pub(crate) const CXX: Tool = Tool {
    name: "c++",
    places: &["c++", "g++", "clang++"],
    package: "g++",
    needed_for: "libFuzzer, which drives the fuzz targets, and librdkafka",
};
pub(crate) const VALGRIND: Tool =
    Tool { name: "valgrind", places: &["valgrind"], package: "valgrind", needed_for: "the unit tests under valgrind" };

pub(crate) const MAKE: Tool = Tool {
    name: "make",
    places: &["make"],
    package: "make",
    needed_for: "librdkafka: queues on Kafka; jemalloc: heap profiles",
};
const PKG_CONFIG: Tool = Tool {
    name: "pkg-config",
    places: &["pkg-config"],
    package: "pkg-config",
    needed_for: "finding OpenSSL: queues on Kafka",
};
const OPENSSL: Tool = Tool {
    name: "OpenSSL's headers",
    places: &["/usr/include/openssl/ssl.h"],
    package: "libssl-dev",
    needed_for: "TLS and passwords of librdkafka: queues on Kafka",
};

pub(crate) const RABBITMQ: Tool = Tool {
    name: "rabbitmq-server",
    places: &["/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"],
    package: "rabbitmq-server",
    needed_for: "the tests of queues on RabbitMQ",
};
pub(crate) const JAVA: Tool = Tool {
    name: "java",
    places: &["java"],
    package: "default-jre-headless",
    needed_for: "the tests of queues on a real Kafka",
};
pub(crate) const MAVEN: Tool = Tool {
    name: "mvn",
    places: &["mvn"],
    package: "maven",
    needed_for: "fetching Kafka for the tests of queues on a real one",
};
pub(crate) const POSTGRESQL: Tool = Tool {
    name: "postgres",
    places: &["/usr/lib/postgresql/*/bin/postgres", "postgres"],
    package: "postgresql",
    needed_for: "the tests of queues on PostgreSQL",
};
const REDIS: Tool = Tool {
    name: "redis-server",
    places: &["redis-server"],
    package: "redis-server",
    needed_for: "the tests of the peers that keep their jobs in Redis",
};

const AGE: Tool = Tool {
    name: "age",
    places: &["age"],
    package: "age",
    needed_for: "the tests that it and we read what the other encrypts",
};

const PYTHON: Tool = Tool {
    name: "python3",
    places: &["python3"],
    package: "python3-venv",
    needed_for: "the tests that run Python programs, and the commands of the book for gunicorn and uvicorn",
};
const GO: Tool =
    Tool { name: "go", places: &["go"], package: "golang-go", needed_for: "the commands of the book for Go programs" };
const CURL: Tool =
    Tool { name: "curl", places: &["curl"], package: "curl", needed_for: "the commands of the book that ask a server" };

const GZIP: Tool = Tool {
    name: "gzip",
    places: &["gzip"],
    package: "gzip",
    needed_for: "the tests that it reads our gzip, and we its",
};
const PIGZ: Tool = Tool {
    name: "pigz",
    places: &["pigz"],
    package: "pigz",
    needed_for: "the tests that our gzip is no larger than its",
};
const ZSTD: Tool = Tool {
    name: "zstd",
    places: &["zstd"],
    package: "zstd",
    needed_for: "the tests that it reads our zstd, and we its",
};

/// libjpeg-turbo's own programs, which `cargo xtask differential` and `bench image` make files with.
pub(crate) const JPEG_PROGRAMS: Tool = Tool {
    name: "djpeg",
    places: &["djpeg"],
    package: "libjpeg-turbo-progs",
    needed_for: "JPEG files of every kind, and what libjpeg-turbo makes of them",
};
const CMAKE: Tool =
    Tool { name: "cmake", places: &["cmake"], package: "cmake", needed_for: "libjpeg-turbo beside our decoder" };
const NASM: Tool =
    Tool { name: "nasm", places: &["nasm"], package: "nasm", needed_for: "libjpeg-turbo beside our decoder" };

/// All that `cargo xtask test` looks for, beside what it is built with.
pub(crate) const FOR_TESTS: [Tool; 15] =
    [CHROMIUM, NODE, NPM, PYTHON, GO, CURL, RABBITMQ, JAVA, MAVEN, POSTGRESQL, REDIS, AGE, GZIP, PIGZ, ZSTD];

/// What the features of all brokers are built with.
pub(crate) const FOR_FEATURES: [Tool; 4] = [CXX, MAKE, PKG_CONFIG, OPENSSL];

/// What libjpeg-turbo is built with.
pub(crate) const FOR_LIBJPEG_TURBO: [Tool; 2] = [CMAKE, NASM];

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
        self.places.iter().find_map(|place| find(place))
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
                println!("Skipped without {}: {}", tool.name, tool.needed_for);
            }
            Ok(())
        }
        Missing::Install => {
            install(&packages)?;
            match absent.iter().find(|tool| tool.find().is_none()) {
                None => Ok(()),
                Some(tool) => Err(Failure::new(format!(
                    "{} is still missing after installing the package {}; it is needed for {}",
                    tool.name, tool.package, tool.needed_for
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

/// What the book runs, in the versions of which it speaks.
const PYTHON_PACKAGES: [&str; 2] = ["gunicorn==27.0.1", "uvicorn==0.54.0"];

/// A virtual environment at `folder` with [`PYTHON_PACKAGES`], unless it is there; its folder of programs, or none without Python.
pub(crate) fn install_python_packages(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let Some(python) = PYTHON.find() else { return Ok(None) };
    let (programs, note) = (folder.join("bin"), folder.join("packages"));
    let packages = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&note).is_ok_and(|installed| installed == packages) {
        return Ok(Some(programs));
    }
    step::run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(programs.join("pip"));
    step::run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES))?;
    std::fs::write(&note, packages)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", note.display())))?;
    Ok(Some(programs))
}

/// The rival of our encryption.
const RAGE_VERSION: &str = "0.12.1";

/// `cargo install` of rage below `folder`, unless it is there: distributions that have it have an old one.
pub(crate) fn install_rage(folder: &Path) -> Result<(), Failure> {
    if folder.join("bin/rage").is_file() {
        return Ok(());
    }
    let mut install = step::cargo();
    install.args(["install", "rage", "--locked", "--version", RAGE_VERSION, "--root"]).arg(folder);
    step::run(install.arg("--target-dir").arg(folder.join("build")))
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    matches!((changed(file), changed(than)), (Ok(file), Ok(than)) if file >= than)
}

fn find(place: &str) -> Option<PathBuf> {
    match place.split_once("*/") {
        None if place.starts_with('/') => Some(PathBuf::from(place)).filter(|file| file.is_file()),
        None => find_program(place),
        Some((above, below)) => {
            let entries = Path::new(above).read_dir().ok()?;
            entries.flatten().map(|entry| entry.path().join(below)).find(|file| file.is_file())
        }
    }
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
    fn a_file_is_found_by_its_path_or_in_any_folder() {
        assert_eq!(find("/proc/self/status"), Some(PathBuf::from("/proc/self/status")));
        assert!(find("/proc/self/task/*/status").is_some());
        assert_eq!(find("/proc/self/task/*/no-such-file"), None);
    }

    #[test]
    fn a_missing_tool_may_be_skipped() {
        let places = &["no-such-program-anywhere", "/no/such/file", "/no/such/*/file"];
        let absent = Tool { name: "it", places, package: "none", needed_for: "nothing" };
        assert!(provide(&[absent], Missing::Skip).is_ok());
    }
}
