//! [`Confinement`]: what a process is truly denied.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Sandbox;

/// What a process is truly denied, part by part. In one line by `Display`: `full: landlock 7, seccomp`, or
/// `full, but no landlock: the kernel lacks it`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The level that was asked for.
    pub level: Sandbox,
    /// Whether nothing that it could execute gives it more rights.
    pub no_new_privileges: bool,
    /// The version of Landlock that is in force, if it is.
    pub landlock: Option<u32>,
    /// Whether a filter of system calls is in force.
    pub seccomp: bool,
    /// What the level consists of and this process has not, with the reason: "landlock: the kernel lacks it".
    pub missing: Vec<String>,
}

impl Confinement {
    /// Of a process that is denied nothing.
    pub const fn none() -> Confinement {
        Confinement {
            level: Sandbox::None,
            no_new_privileges: false,
            landlock: None,
            seccomp: false,
            missing: Vec::new(),
        }
    }

    /// Whether nothing of the level is missing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.level.fmt(f)?;
        for (index, missing) in self.missing.iter().enumerate() {
            write!(f, "{} {missing}", if index == 0 { ", but no" } else { "; no" })?;
        }
        if !self.is_complete() || self.level == Sandbox::None {
            return Ok(());
        }
        match self.landlock {
            Some(version) => write!(f, ": landlock {version}, seccomp"),
            None => f.write_str(": seccomp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_tells_the_level_and_what_it_lacks() {
        let whole = Confinement {
            level: Sandbox::Full,
            no_new_privileges: true,
            landlock: Some(7),
            seccomp: true,
            missing: Vec::new(),
        };
        assert_eq!(whole.to_string(), "full: landlock 7, seccomp");
        let missing = vec!["landlock: the kernel lacks it".to_owned()];
        let part = Confinement { landlock: None, missing, ..whole.clone() };
        assert_eq!(part.to_string(), "full, but no landlock: the kernel lacks it");
        let missing = vec!["landlock: the kernel lacks it".into(), "seccomp: a filter forbids it".into()];
        let less = Confinement { level: Sandbox::NoNetwork, seccomp: false, missing, ..part };
        assert_eq!(
            less.to_string(),
            "no network, but no landlock: the kernel lacks it; no seccomp: a filter forbids it"
        );
        assert_eq!(Confinement::none().to_string(), "none");
    }
}
