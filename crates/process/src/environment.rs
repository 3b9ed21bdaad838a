//! [`Environment`]: the variables of a child, as changes to our own.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::SpawnError;
use crate::lookup::c_string;

/// Variables that are meant for one process and must not reach its children.
pub(crate) const NOT_INHERITED: [&str; 7] = [
    crate::role::ROLE_VARIABLE,
    crate::upgrade::STATE_VARIABLE,
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// What a child's environment is: ours with changes, or only what is named.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    changes: BTreeMap<OsString, Option<OsString>>,
    only_named: bool,
}

impl Environment {
    pub(crate) fn set(&mut self, name: OsString, value: OsString) {
        self.changes.insert(name, Some(value));
    }

    pub(crate) fn remove(&mut self, name: OsString) {
        self.changes.insert(name, None);
    }

    pub(crate) fn clear(&mut self) {
        self.changes.clear();
        self.only_named = true;
    }

    /// What the child will find under this name.
    pub(crate) fn get(&self, name: &OsStr) -> Option<OsString> {
        match self.changes.get(name) {
            Some(change) => change.clone(),
            None if self.only_named => None,
            None => std::env::var_os(name),
        }
    }

    /// All of it as `NAME=value`.
    pub(crate) fn block(self) -> Result<Vec<CString>, SpawnError> {
        let inherited = (!self.only_named).then(std::env::vars_os).into_iter().flatten();
        let kept = inherited
            .filter(|(name, _)| !self.changes.contains_key(name) && !NOT_INHERITED.iter().any(|ours| name == ours));
        let mut block = kept.map(|(name, value)| variable(name, value)).collect::<Result<Vec<CString>, _>>()?;
        for (name, value) in self.changes {
            if let Some(value) = value {
                block.push(variable(name, value)?);
            }
        }
        Ok(block)
    }
}

fn variable(name: OsString, value: OsString) -> Result<CString, SpawnError> {
    let what = || format!("the variable {}", name.display());
    if name.is_empty() || name.as_bytes().contains(&b'=') {
        return Err(SpawnError::Setting { what: what(), source: rustix::io::Errno::INVAL.into() });
    }
    // `=` and the NUL byte: without room for both, each variable would be copied once more.
    let mut both = OsString::with_capacity(name.len() + value.len() + 2);
    both.push(&name);
    both.push("=");
    both.push(&value);
    c_string(both, what)
}
