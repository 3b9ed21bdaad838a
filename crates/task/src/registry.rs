//! [`Registry`]: the tasks that this program knows, by name. Explicit, so that nothing depends on link order or macros.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;

use phalanx_process::Sandbox;

use crate::{Packed, Refusal, Task, TaskContext, TaskError};

/// Longest name of a task.
const LONGEST_NAME: usize = 64;

/// Tasks by name: what a job process or a worker of a queue can run. Made by [`tasks!`](crate::tasks).
///
/// ```
/// # use phalanx_task::{Task, TaskContext, TaskError};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Sum;
/// # impl Task for Sum {
/// #     const NAME: &'static str = "sum"; type Output = u64;
/// #     fn run(self, _: &TaskContext) -> Result<u64, TaskError> { Ok(0) }
/// # }
/// use phalanx_task::tasks;
///
/// let registry = tasks![Sum].checked()?;
/// assert_eq!(registry.names().collect::<Vec<_>>(), ["sum"]);
/// # Ok::<(), phalanx_task::RegistryError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
    wrong: Option<RegistryError>,
}

#[derive(Clone, Copy)]
struct Entry {
    task: TypeId,
    sandbox: Sandbox,
    run: fn(Packed, &TaskContext) -> Result<Packed, TaskError>,
}

/// A registry that cannot be used. Told at start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two different tasks have one name.
    Duplicate {
        /// The name.
        name: &'static str,
    },
    /// The name of a task is empty, too long, or has other characters than letters, digits, `.`, `_` and `-`.
    BadName {
        /// The name.
        name: &'static str,
    },
}

impl Registry {
    /// An empty one.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a task. Adding the same one again does nothing; another one of the same name is an error that
    /// [`checked`](Registry::checked) tells.
    pub fn with<T: Task>(mut self) -> Registry {
        let name = T::NAME;
        let entry = Entry { task: TypeId::of::<T>(), sandbox: T::SANDBOX, run: run::<T> };
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.chars().all(is_good) {
            self.wrong.get_or_insert(RegistryError::BadName { name });
        } else if self.entries.get(name).is_some_and(|other| other.task != entry.task) {
            self.wrong.get_or_insert(RegistryError::Duplicate { name });
        } else {
            self.entries.insert(name, entry);
        }
        self
    }

    /// This registry, if it makes sense.
    pub fn checked(self) -> Result<Registry, RegistryError> {
        match self.wrong {
            Some(wrong) => Err(wrong),
            None => Ok(self),
        }
    }

    /// Whether it knows this very task.
    pub fn knows<T: Task>(&self) -> bool {
        self.entries.get(T::NAME).is_some_and(|entry| entry.task == TypeId::of::<T>())
    }

    /// What the task of this name is denied in a job process.
    pub fn sandbox(&self, name: &str) -> Option<Sandbox> {
        self.entries.get(name).map(|entry| entry.sandbox)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.entries.keys().copied()
    }

    /// The name as this program has it, for a context.
    pub fn name(&self, name: &str) -> Option<&'static str> {
        self.entries.get_key_value(name).map(|(name, _)| *name)
    }

    /// Runs the task of this name with a packed input: for job processes and workers of a queue. A panic goes through.
    pub fn run(&self, name: &str, input: Packed, context: &TaskContext) -> Result<Packed, TaskError> {
        match self.entries.get(name) {
            Some(entry) => (entry.run)(input, context),
            None => Err(Refusal::Unknown { task: name.to_owned() }.into()),
        }
    }
}

fn run<T: Task>(input: Packed, context: &TaskContext) -> Result<Packed, TaskError> {
    let task: T = input.unpack().map_err(|error| Refusal::Unreadable { reason: error.to_string() })?;
    let output = task.run(context)?;
    Packed::of(&output).map_err(TaskError::failed)
}

/// The registry of these tasks: `tasks![Thumbnail, Hash]`.
#[macro_export]
macro_rules! tasks {
    ($($task:ty),* $(,)?) => {
        $crate::Registry::new()$(.with::<$task>())*
    };
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryError::Duplicate { name } => {
                write!(f, "two tasks are named \"{name}\"; give each a NAME of its own")
            }
            RegistryError::BadName { name } => write!(
                f,
                "a task cannot be named \"{name}\": 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-' make a name"
            ),
        }
    }
}

impl std::error::Error for RegistryError {}
