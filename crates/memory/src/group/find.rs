//! Where groups can be made: the group of this process, if it lets itself be divided.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::{GroupError, NoGroups};
use super::name::Owner;
use super::tree::Tree;
use super::{Group, Groups};
use crate::cgroup::{Level, Version, levels};

/// The name of the group that this process moves into, in version 2.
const LEAF: &str = "primary";

/// The limit of the group by which it is tried.
const TRIAL_BYTES: u64 = 64 << 20;

/// Trials so far: two threads may look at once.
static TRIALS: AtomicU32 = AtomicU32::new(0);

pub(super) fn find<T: Tree + 'static>(tree: Arc<T>) -> Result<Groups, NoGroups> {
    // Without it the places are guesses: good enough to read a limit, but not to make groups in.
    if tree.read(Path::new("/proc/self/cgroup")).is_none() || tree.read(Path::new("/proc/self/mountinfo")).is_none() {
        return Err(NoGroups::Hidden);
    }
    let levels = levels(&*tree, "memory");
    let tree: Arc<dyn Tree> = tree;
    let mut why = NoGroups::NoController;
    // The innermost of a version is where we are. Where both are mounted, only one has the memory controller.
    for version in [Version::V1, Version::V2] {
        let Some(level) = levels.iter().find(|level| level.version == version) else { continue };
        match divide(Arc::clone(&tree), level) {
            Ok(groups) => return Ok(groups),
            Err(NoGroups::NoController) => {}
            Err(other) => why = other,
        }
    }
    Err(why)
}

pub(super) fn within(tree: Arc<dyn Tree>, folder: PathBuf) -> Result<Groups, NoGroups> {
    let version = match tree.read(&folder.join("memory.limit_in_bytes")) {
        Some(_) => Version::V1,
        None => Version::V2,
    };
    divide(tree, &Level { version, folder })
}

fn divide(tree: Arc<dyn Tree>, level: &Level) -> Result<Groups, NoGroups> {
    let owner = Owner::this(&*tree).ok_or(NoGroups::Hidden)?;
    let Level { version, folder } = level;
    let groups = match version {
        Version::V1 => {
            tree.read(&folder.join("memory.limit_in_bytes")).ok_or(NoGroups::NoController)?;
            Groups { tree, version: *version, base: folder.clone(), owner, moved_to: None }
        }
        Version::V2 => divide_v2(tree, folder, owner)?,
    };
    let trial: Group = groups.create(&format!("trial-{}", TRIALS.fetch_add(1, Ordering::Relaxed)), TRIAL_BYTES)?;
    drop(trial);
    Ok(groups)
}

/// Version 2: the controller has to be switched on for the groups below, which the kernel refuses as long as there are
/// processes in the group itself (but not at the very top).
fn divide_v2(tree: Arc<dyn Tree>, own: &Path, owner: Owner) -> Result<Groups, NoGroups> {
    let leaf_name = owner.name(LEAF);
    // An earlier image of this process has moved already, if there is such a group.
    let in_leaf = own.file_name().is_some_and(|name| *name == *leaf_name);
    let base = if in_leaf { own.parent().unwrap_or(own) } else { own }.to_path_buf();
    let moved = tree.groups_in(&base).contains(&leaf_name);
    let lists_memory = |file: &str| {
        let text = tree.read(&base.join(file)).unwrap_or_default();
        text.split_ascii_whitespace().any(|controller| controller == "memory")
    };
    if !lists_memory("cgroup.controllers") {
        return Err(NoGroups::NoController);
    }
    let leaf = base.join(leaf_name);
    let groups =
        |moved_to| Groups { tree: Arc::clone(&tree), version: Version::V2, base: base.clone(), owner, moved_to };
    if moved {
        return Ok(groups(Some(leaf)));
    }
    if lists_memory("cgroup.subtree_control") {
        return Ok(groups(None));
    }
    let switch = base.join("cgroup.subtree_control");
    match tree.write(&switch, "+memory") {
        Ok(()) => return Ok(groups(None)),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
        Err(error) => return Err(GroupError::of("write to", &switch)(error).into()),
    }
    tree.make(&leaf).map_err(GroupError::of("make the control group", &leaf))?;
    let entrance = leaf.join("cgroup.procs");
    let entered = tree.write(&entrance, &std::process::id().to_string()).map_err(GroupError::of("write to", &entrance));
    let switched = entered.map_err(NoGroups::from).and_then(|()| {
        tree.write(&switch, "+memory").map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => NoGroups::Occupied { folder: base.clone() },
            _ => GroupError::of("write to", &switch)(error).into(),
        })
    });
    match switched {
        Ok(()) => Ok(groups(Some(leaf))),
        Err(why) => {
            move_back(&*tree, &base, &leaf);
            Err(why)
        }
    }
}

/// Undoes the move, as far as it can be undone: not while there are other groups.
pub(super) fn move_back(tree: &dyn Tree, base: &Path, leaf: &Path) {
    let _ = tree.write(&base.join("cgroup.subtree_control"), "-memory");
    let _ = tree.write(&base.join("cgroup.procs"), &std::process::id().to_string());
    let _ = tree.remove(leaf);
}
