//! The environment of a program: files of variables, and what was said beside them.

use std::path::{Path, PathBuf};

use super::app::Wrong;
use super::values::Variable;

/// More than the kernel would take for a whole environment.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// The variables of the files, later files over earlier ones, and `given` over all of them; each name once.
pub(super) fn together(files: impl Iterator<Item = PathBuf>, given: &[Variable]) -> Result<Vec<Variable>, Wrong> {
    let mut all: Vec<Variable> = Vec::new();
    let mut add = |variable: Variable| match all.iter_mut().find(|known| known.name == variable.name) {
        Some(known) => known.value = variable.value,
        None => all.push(variable),
    };
    for file in files {
        read(&file)?.into_iter().for_each(&mut add);
    }
    given.iter().cloned().for_each(&mut add);
    Ok(all)
}

fn read(file: &Path) -> Result<Vec<Variable>, Wrong> {
    let wrong = |why: String| Wrong(format!("env-file {}: {why}", file.display()));
    let length = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if length > LARGEST_FILE_BYTES {
        return Err(wrong(format!("it has {length} bytes, more than {LARGEST_FILE_BYTES}")));
    }
    let entries = dotenvy::from_path_iter(file).map_err(|error| wrong(error.to_string()))?;
    entries
        .map(|entry| {
            let (name, value) = entry.map_err(|error| wrong(told(&error)))?;
            Variable::new(&name, &value).map_err(wrong)
        })
        .collect()
}

fn told(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(line, at) => {
            format!("cannot read {line:?} from character {}: write NAME=VALUE", at + 1)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "# a comment\nA=1\nB='b b'\n\nexport C=3\n").unwrap();
        std::fs::write(&two, "A=2\n").unwrap();
        let given = [Variable::new("C", "4").unwrap()];
        let all = together([one, two].into_iter(), &given).unwrap();
        let all: Vec<(&str, &str)> = all.iter().map(|variable| (&*variable.name, &*variable.value)).collect();
        assert_eq!(all, [("A", "2"), ("B", "b b"), ("C", "4")]);
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bad.env");
        std::fs::write(&file, "A=1\nnot a line\n").unwrap();
        let why = together([file].into_iter(), &[]).unwrap_err().0;
        assert!(why.contains("bad.env: cannot read") && why.contains("not a line"), "{why}");
        let why = together([folder.path().join("none")].into_iter(), &[]).unwrap_err().0;
        assert!(why.contains("none: No such file"), "{why}");
    }
}
