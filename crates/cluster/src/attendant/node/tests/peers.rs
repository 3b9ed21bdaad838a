//! Which Node versions are here: those of `PHALANX_NODES`, those that `cargo xtask test` has installed, or the one on the path.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The versions that are tested, by their major numbers.
const VERSIONS: [u32; 4] = [18, 20, 22, 24];

/// A Node version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) program: PathBuf,
    pub(super) version: u32,
}

fn folder_of_versions() -> Option<PathBuf> {
    std::env::var_os("PHALANX_NODES").map(PathBuf::from).or_else(|| {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/node/node_modules");
        installed.is_dir().then_some(installed)
    })
}

/// All versions that are here. Under `CI=true` all four must be.
pub(super) fn nodes() -> &'static [Node] {
    static NODES: OnceLock<Vec<Node>> = OnceLock::new();
    NODES.get_or_init(|| {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        if let Some(folder) = folder_of_versions() {
            let program = |version| folder.join(format!("node{version}-{architecture}/bin/node"));
            return VERSIONS.map(|version| Node { program: program(version), version }).to_vec();
        }
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!in_ci, "no Node versions: run `npm ci` in tests/node, nothing is skipped in CI");
        let version = Command::new("node").args(["-p", "process.versions.node.split('.')[0]"]).output();
        let version = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok());
        if version.is_none() {
            eprintln!("skipped: all that needs Node (`npm ci` in tests/node installs four versions)");
        }
        version.into_iter().map(|version| Node { program: "node".into(), version }).collect()
    })
}
