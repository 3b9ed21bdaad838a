//! The rivals' packages: names, versions, and their installation below the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// From PyPI; httptools is the parser that uvicorn's own "standard" set uses.
const PYTHON_PACKAGES: [&str; 5] =
    ["gunicorn==27.0.1", "uvicorn==0.54.0", "granian==2.8.7", "httptools==0.9.0", "uvloop==0.23.0"];
/// From npm.
const NODE_PACKAGE: &str = "pm2@7.0.4";

/// Where everything of the rivals is.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    folder: PathBuf,
}

impl Installed {
    /// Below the folder in which this program was built.
    pub(super) fn find() -> Result<Installed, String> {
        let own = std::env::current_exe().map_err(|error| format!("cannot find own folder: {error}"))?;
        let target = own.parent().and_then(Path::parent).ok_or("there is no target folder")?;
        Ok(Installed { folder: target.join("torture-peers") })
    }

    /// A program of the Python packages; installs them if it is not there.
    pub(super) fn python(&self, program: &str) -> Result<PathBuf, String> {
        let environment = self.folder.join("venv");
        let wanted = environment.join("bin").join(program);
        if !self.is_current("venv.versions", &PYTHON_PACKAGES.join("\n")) || !wanted.is_file() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
            let pip = environment.join("bin/pip");
            run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES))?;
            self.note("venv.versions", &PYTHON_PACKAGES.join("\n"))?;
        }
        Ok(wanted)
    }

    /// PM2's command; installs it if it is not there.
    pub(super) fn pm2(&self) -> Result<PathBuf, String> {
        let folder = self.folder.join("node");
        let wanted = folder.join("node_modules/.bin/pm2");
        if !self.is_current("node.versions", NODE_PACKAGE) || !wanted.is_file() {
            std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
            let arguments = ["install", "--no-audit", "--no-fund", "--no-save", "--silent", NODE_PACKAGE];
            run(Command::new("npm").args(arguments).arg("--prefix").arg(&folder))?;
            self.note("node.versions", NODE_PACKAGE)?;
        }
        Ok(wanted)
    }

    fn is_current(&self, file: &str, versions: &str) -> bool {
        std::fs::read_to_string(self.folder.join(file)).is_ok_and(|text| text == versions)
    }

    fn note(&self, file: &str, versions: &str) -> Result<(), String> {
        std::fs::write(self.folder.join(file), versions).map_err(|error| format!("cannot write {file}: {error}"))
    }
}

/// The version of a package, as it is asked for above.
pub(super) fn version(package: &str) -> String {
    let all = PYTHON_PACKAGES.iter().filter_map(|pinned| pinned.split_once("==")).chain(NODE_PACKAGE.split_once('@'));
    let found = all.into_iter().find(|(name, _)| *name == package);
    found.map_or_else(|| package.to_owned(), |(name, version)| format!("{name} {version}"))
}

/// The first line that a program says of itself.
pub(super) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{name} ended with {}: {words}", output.status))
}
