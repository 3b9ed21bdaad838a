//! `--watch`: what is watched, and which changes count.

mod tree;

pub(super) use tree::Tree;

use std::fmt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::app::Wrong;

/// Never watched, whatever is asked for: packages, by the ten thousand.
const PACKAGES: [&str; 2] = ["node_modules", "__pycache__"];
/// `*` and `?` match no slash, `**` does.
const BY_FOLDERS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Files and folders, and what of them does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) paths: Vec<PathBuf>,
    ignored: Vec<Pattern>,
    /// What patterns with a slash are relative to.
    base: PathBuf,
    /// Files of ours.
    own: Vec<PathBuf>,
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}

impl Watch {
    /// What is asked for, the empty path being the working directory; `None` if nothing is.
    pub(super) fn check(paths: &[PathBuf], ignored: &[String], cwd: &Path) -> Result<Option<Watch>, Wrong> {
        if paths.is_empty() {
            return match ignored.is_empty() {
                true => Ok(None),
                false => Err(Wrong("ignore-watch is about changes that --watch sees: say --watch as well".into())),
            };
        }
        let paths: Vec<PathBuf> = paths.iter().map(|path| cwd.join(path).components().collect()).collect();
        if let Some(missing) = paths.iter().find(|path| !path.exists()) {
            return Err(Wrong(format!("watch: there is no {}", missing.display())));
        }
        let pattern = |text: &String| {
            let text = text.trim_start_matches("./").trim_end_matches('/');
            Pattern::new(text).map_err(|error| Wrong(format!("ignore-watch: {text:?} is no pattern: {error}")))
        };
        let ignored = ignored.iter().map(pattern).collect::<Result<_, _>>()?;
        Ok(Some(Watch { paths, ignored, base: cwd.to_owned(), own: Vec::new() }))
    }

    /// The same without the files that we write ourselves, rotated ones included.
    pub(super) fn without<'a>(mut self, own: impl IntoIterator<Item = &'a Path>) -> Watch {
        self.own = own.into_iter().map(Path::to_owned).collect();
        self
    }

    fn is_own(&self, path: &Path) -> bool {
        let name = |path: &Path| path.file_name().map(|name| name.as_encoded_bytes().to_owned());
        self.own.iter().any(|own| match (name(own), name(path)) {
            (Some(own_name), Some(name)) => path.parent() == own.parent() && name.starts_with(&own_name),
            _ => false,
        })
    }

    /// Whether a change of this file or folder counts: not if itself or a folder that it is in is ignored.
    pub(super) fn counts(&self, path: &Path) -> bool {
        if self.is_own(path) {
            return false;
        }
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let mut so_far = PathBuf::new();
        !below.components().any(|component| {
            so_far.push(component);
            let name = component.as_os_str().to_string_lossy();
            let hidden = name.starts_with('.') && name != "." && name != "..";
            hidden || PACKAGES.contains(&&*name) || self.is_ignored(&so_far, &name)
        })
    }

    /// A pattern without a slash is about names, one with a slash about paths from the working directory.
    fn is_ignored(&self, path: &Path, name: &str) -> bool {
        self.ignored.iter().any(|pattern| match pattern.as_str().contains('/') {
            true => pattern.matches_path_with(path, BY_FOLDERS),
            false => pattern.matches_with(name, BY_FOLDERS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(ignored: &[&str]) -> Watch {
        let ignored: Vec<String> = ignored.iter().map(|text| (*text).to_owned()).collect();
        Watch::check(&[PathBuf::new()], &ignored, Path::new("/tmp")).unwrap().unwrap()
    }

    #[test]
    fn names_and_paths_can_be_ignored() {
        let watch = watch(&["*.log", "data/**", "./tmp/"]);
        assert_eq!(watch.paths, [Path::new("/tmp")]);
        for (path, counts) in [
            ("/tmp/app.js", true),
            ("/tmp/src/deep/app.js", true),
            ("/tmp/src/out.log", false),
            ("/tmp/data/x/y", false),
            ("/tmp/src/data", true),
            ("/tmp/tmp/x", false),
            ("/tmp/src/tmp", false),
            ("/tmp/node_modules/a/index.js", false),
            ("/tmp/.git/HEAD", false),
            ("/tmp/src/.app.js.swp", false),
        ] {
            assert_eq!(watch.counts(Path::new(path)), counts, "{path}");
        }
    }

    #[test]
    fn our_own_files_do_not_count() {
        let watch = watch(&[]).without([Path::new("/tmp/app.log")]);
        assert!(!watch.counts(Path::new("/tmp/app.log")) && !watch.counts(Path::new("/tmp/app.log.1")));
        assert!(watch.counts(Path::new("/tmp/src/app.log")));
    }

    #[test]
    fn what_cannot_be_watched_is_said() {
        let why =
            |paths: &[PathBuf], ignored: &[String]| Watch::check(paths, ignored, Path::new("/tmp")).unwrap_err().0;
        assert!(why(&[], &["x".into()]).contains("say --watch as well"));
        assert!(why(&["no-such".into()], &[]).contains("there is no /tmp/no-such"));
        assert!(why(&["".into()], &["[".into()]).contains("is no pattern"));
    }
}
