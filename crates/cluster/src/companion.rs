//! [`Companion`]: one more process of a cluster, which serves its workers and no requests: the owner of a queue, a cache.
//!
//! ```text
//!   primary ──┬── companion "queue"     started before the workers, ended after them
//!             ├── worker 1 ─┐
//!             └── worker 2 ─┴── find it by themselves: a socket, a file
//! ```
//!
//! The primary starts it, starts it again (with back-off) when it ends, and ends it last: SIGTERM, some seconds, SIGKILL. A
//! reload leaves it alone; an upgrade ends it and starts that of the new program.

use std::panic::AssertUnwindSafe;

use phalanx_process::TakenRole;
use phalanx_shared::Blob;

use crate::builder::AnyError;
use crate::{Cluster, Error};

/// Name of the role.
pub(crate) const COMPANION_ROLE: &str = "companion";
/// More than any cluster has a use for.
pub(crate) const MOST_COMPANIONS: usize = 16;
/// Longest name; `ps` shows "phalanx: NAME".
const LONGEST_NAME: usize = 32;
/// The largest settings that are taken, in bytes.
const LARGEST_SETTINGS: usize = 16 << 20;

/// Names of the descriptors that a companion is given.
pub(crate) mod descriptor {
    /// Its name.
    pub(crate) const NAME: &str = "name";
    /// The settings of the generation in which it was started; only if the cluster has any.
    pub(crate) const SETTINGS: &str = "settings";
}

/// What a companion is told of itself.
#[derive(Debug)]
pub struct Companion {
    name: String,
    settings: Option<Blob>,
}

impl Companion {
    /// The name that was given to [`Cluster::companion`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings as [`Cluster::settings`] had read them when this process was started; empty without.
    pub fn settings(&self) -> &[u8] {
        self.settings.as_deref().unwrap_or_default()
    }

    fn of(role: &mut TakenRole) -> Result<Companion, Error> {
        let unreadable = |source: phalanx_shared::Error| {
            Error::system("read what a companion is told")(std::io::Error::other(source))
        };
        let name = Blob::from_descriptor(role.take(descriptor::NAME)?, LONGEST_NAME).map_err(unreadable)?;
        let settings = role.take_all(descriptor::SETTINGS).pop();
        let settings = settings.map(|file| Blob::from_descriptor(file, LARGEST_SETTINGS)).transpose();
        Ok(Companion { name: String::from_utf8_lossy(&name).into_owned(), settings: settings.map_err(unreadable)? })
    }
}

/// The user's code of a companion.
pub(crate) type CompanionCode = Box<dyn FnOnce(Companion) -> Result<(), AnyError>>;

impl Cluster {
    /// One more process of this executable beside the workers, for what all of them need and none may own: it runs `code` on
    /// its main thread, with the settings of the cluster at hand.
    ///
    /// It is started before the workers, which must cope with it not being there (yet, or for a moment). When it ends, it is
    /// started again: at once, or after 100 ms × 2 (at most 5 s) if it lived for less than 10 s. When the cluster stops it is sent
    /// SIGTERM after the last worker has ended, and SIGKILL 5 s later: the code has to take SIGTERM, and to ignore SIGINT, which a
    /// terminal sends to everybody. A reload leaves it alone; an upgrade replaces it. It runs as the [user](Self::user) of the
    /// workers, writes to the standard error of the primary, and dies (SIGTERM) with the primary.
    ///
    /// `name`: 1 to 32 lower-case letters, digits and `-`, each once; at most 16 of them. `ps` shows "phalanx: NAME".
    pub fn companion(
        mut self,
        name: impl Into<String>,
        code: impl FnOnce(Companion) -> Result<(), AnyError> + 'static,
    ) -> Self {
        self.companions.push((name.into(), Box::new(code)));
        self
    }

    pub(crate) fn validate_companions(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Setting { what });
        if self.companions.len() > MOST_COMPANIONS {
            return wrong(format!("{} companions are more than {MOST_COMPANIONS}", self.companions.len()));
        }
        for (index, (name, _)) in self.companions.iter().enumerate() {
            let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !(1..=LONGEST_NAME).contains(&name.len()) || !name.chars().all(is_good) {
                return wrong(format!(
                    "a companion cannot be called \"{name}\": 1 to {LONGEST_NAME} lower-case letters, digits and '-' make a name"
                ));
            }
            if self.companions[..index].iter().any(|(other, _)| other == name) {
                return wrong(format!("two companions are called \"{name}\""));
            }
        }
        Ok(())
    }
}

/// Plays the role of a companion. Does not return: the process exits.
pub(crate) fn play(mut role: TakenRole, cluster: Cluster) -> ! {
    let told = match Companion::of(&mut role) {
        Ok(companion) => companion,
        Err(error) => fail("companion", &error),
    };
    let name = told.name.clone();
    let Some((_, code)) = cluster.companions.into_iter().find(|(its, _)| *its == name) else {
        fail(&name, &"this program has no companion of this name")
    };
    match std::panic::catch_unwind(AssertUnwindSafe(|| code(told))) {
        Ok(Ok(())) => std::process::exit(0),
        Ok(Err(error)) => fail(&name, &error),
        // The hook has told what and where.
        Err(_) => std::process::exit(1),
    }
}

fn fail(name: &str, error: &dyn std::fmt::Display) -> ! {
    eprintln!("phalanx | the companion \"{name}\" fails: {error}");
    std::process::exit(1)
}
