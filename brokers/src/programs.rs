//! Where programs are installed.

use std::path::{Path, PathBuf};

/// The first executable of this name on the PATH, and not in one of `unwanted`.
pub(crate) fn on_path(name: &str, unwanted: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| !unwanted.iter().any(|unwanted| folder == Path::new(unwanted)))
        .map(|folder| folder.join(name))
        .find(|program| is_executable(program))
}

pub(crate) fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Runs `command` to its end; its failure tells what it said.
pub(crate) fn run(command: &mut std::process::Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output =
        command.stdin(std::process::Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} ended with {}: {} {}", output.status, said.trim(), complaint.trim()))
}
