//! Where this process stands in the control groups, and the values on the way up.
//!
//! `/proc/self/cgroup` says the path inside a hierarchy, `/proc/self/mountinfo` where the hierarchy is mounted and
//! which part of it is visible. A limit may sit on any level, so every level from ours to the top is read.

use std::path::{Component, Path, PathBuf};

use crate::files::Files;

/// Which of the two interfaces a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// One level of one hierarchy: a folder that may hold limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) version: Version,
    pub(crate) folder: PathBuf,
}

/// Where to look when `/proc` is hidden: the usual mount points, seen from inside a container.
fn usual_levels(controller: &str) -> Vec<Level> {
    let top = Path::new("/sys/fs/cgroup");
    vec![
        Level { version: Version::V2, folder: top.to_path_buf() },
        Level { version: Version::V1, folder: top.join(controller) },
    ]
}

/// All folders that can limit `controller` ("memory", "cpu") for this process, innermost first.
pub(crate) fn levels(files: &impl Files, controller: &str) -> Vec<Level> {
    let read = |path: &str| files.read(Path::new(path));
    let (Some(membership), Some(mounts)) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo")) else {
        return usual_levels(controller);
    };
    let mut levels = Vec::new();
    for mount in parse_mounts(&mounts, controller) {
        if let Some(path) = parse_membership(&membership, mount.version, controller) {
            let visible = visible_part(Path::new(path), &mount.root);
            levels.extend(visible.ancestors().map(|part| Level {
                version: mount.version,
                folder: if part.as_os_str().is_empty() { mount.point.clone() } else { mount.point.join(part) },
            }));
        }
    }
    if levels.is_empty() { usual_levels(controller) } else { levels }
}

/// A mounted hierarchy: `root` is the part of it that `point` shows.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    version: Version,
    root: PathBuf,
    point: PathBuf,
}

/// The lines of `/proc/self/mountinfo` that mount version 2, or version 1 with `controller`:
/// `ID PARENT DEVICE ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE SUPER-OPTIONS`.
fn parse_mounts(text: &str, controller: &str) -> Vec<Mount> {
    text.lines().filter_map(|line| parse_mount(line, controller)).collect()
}

fn parse_mount(line: &str, controller: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next()? {
        "cgroup2" => Version::V2,
        "cgroup" if filesystem.nth(1)?.split(',').any(|option| option == controller) => Version::V1,
        _ => return None,
    };
    let mut fields = mount.split(' ').skip(3);
    let [root, point] = [fields.next()?, fields.next()?].map(|field| PathBuf::from(unescape(field)));
    Some(Mount { version, root, point })
}

/// Our path in the hierarchy, from `/proc/self/cgroup`: lines of `ID:CONTROLLERS:PATH`, version 2 without controllers.
fn parse_membership<'t>(text: &'t str, version: Version, controller: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match version {
            Version::V2 => id == "0" && controllers.is_empty(),
            Version::V1 => controllers.split(',').any(|name| name == controller),
        };
        (ours && path.starts_with('/')).then_some(path)
    })
}

/// The path below the mount point. A path outside what is mounted (a container without a namespace of its own) means
/// that the mount point itself is ours. Steps upwards are dropped: nothing above the mount point can be seen.
fn visible_part(path: &Path, root: &Path) -> PathBuf {
    let below = path.strip_prefix(root).unwrap_or(Path::new(""));
    below.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// Blanks in paths are written as `\040` and the like.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                text.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Written;

    fn folders(files: &Written, controller: &str) -> Vec<String> {
        levels(files, controller).iter().map(|level| level.folder.display().to_string()).collect()
    }

    /// A systemd machine of today: one unified hierarchy.
    const V2: Written = Written(&[
        ("/proc/self/cgroup", "0::/system.slice/phalanx.service\n"),
        (
            "/proc/self/mountinfo",
            "25 30 0:23 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n\
             35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
        ),
    ]);

    /// Version 1 beside an empty version 2, as on Firecracker machines.
    const HYBRID: Written = Written(&[
        ("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/process_api/26e4b278\n2:cpuacct:/\n1:cpu:/\n0::/\n"),
        (
            "/proc/self/mountinfo",
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
             33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        ),
    ]);

    /// Docker on version 1: the membership names the host's path, of which the mount shows only our own end.
    const DOCKER_V1: Written = Written(&[
        (
            "/proc/self/cgroup",
            "11:cpu,cpuacct:/docker/0a1b2c\n7:memory:/docker/0a1b2c\n1:name=systemd:/docker/0a1b2c\n",
        ),
        (
            "/proc/self/mountinfo",
            "1180 1170 0:33 /docker/0a1b2c /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:15 - cgroup cgroup rw,cpu,cpuacct\n\
             1184 1170 0:37 /docker/0a1b2c /sys/fs/cgroup/memory ro,nosuid master:19 - cgroup cgroup rw,memory\n",
        ),
    ]);

    #[test]
    fn every_level_of_a_nested_group_is_looked_at_innermost_first() {
        assert_eq!(
            folders(&V2, "memory"),
            ["/sys/fs/cgroup/system.slice/phalanx.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"]
        );
    }

    #[test]
    fn a_hybrid_machine_is_asked_in_both_versions() {
        assert_eq!(
            folders(&HYBRID, "memory"),
            [
                "/sys/fs/cgroup/memory/process_api/26e4b278",
                "/sys/fs/cgroup/memory/process_api",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/unified"
            ]
        );
        assert_eq!(folders(&HYBRID, "cpu"), ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"]);
    }

    #[test]
    fn a_container_that_sees_only_its_own_end_of_the_path_finds_it_at_the_mount_point() {
        assert_eq!(folders(&DOCKER_V1, "memory"), ["/sys/fs/cgroup/memory"]);
        assert_eq!(folders(&DOCKER_V1, "cpu"), ["/sys/fs/cgroup/cpu,cpuacct"]);
    }

    #[test]
    fn a_path_above_the_namespace_ends_at_the_mount_point() {
        assert_eq!(visible_part(Path::new("/../../other"), Path::new("/")), Path::new("other"));
        assert_eq!(visible_part(Path::new("/docker/abc"), Path::new("/kubepods/x")), Path::new(""));
    }

    #[test]
    fn without_proc_the_usual_folders_are_tried() {
        assert_eq!(folders(&Written(&[]), "memory"), ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"]);
    }

    #[test]
    fn garbage_is_no_mount_and_no_membership() {
        for text in ["", "\n\n", " - ", "a b c - cgroup2", "1 2 3 - cgroup x", "\u{0} - cgroup \u{0}", ":::", "0:"] {
            assert_eq!(parse_mounts(text, "memory"), [], "{text:?}");
            assert_eq!(parse_membership(text, Version::V2, "memory"), None, "{text:?}");
        }
        assert_eq!(parse_membership("0::relative", Version::V2, "memory"), None);
    }

    #[test]
    fn a_group_named_with_colons_and_blanks_is_found() {
        assert_eq!(parse_membership("0::/a:b/c d\n", Version::V2, "memory"), Some("/a:b/c d"));
        assert_eq!(unescape(r"/mnt/my\040group\134x"), r"/mnt/my group\x");
        assert_eq!(unescape(r"ends with \"), r"ends with \");
        assert_eq!(unescape(r"\9é\04é"), r"\9é\04é");
    }
}
