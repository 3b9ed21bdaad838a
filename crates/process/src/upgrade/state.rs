//! [`TakenState`]: what the image before this one handed over.
//!
//! It travels in one variable: `PHALANX_STATE=pid=PID;mask=HEX;handled=HEX;role=NAME;fd:NAME=FD;…`. Two versions of a
//! program talk here: a part that is not known is passed over, and one that is missing has a meaning.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use crate::descriptors::{self, Descriptors};
use crate::signal_mask::SignalMask;
use crate::{Error, signals};

/// The variable that carries the state.
pub(crate) const STATE_VARIABLE: &str = "PHALANX_STATE";

/// Names of the two ends of the signals' pipe.
const SIGNALS_READER: &str = "phalanx-signals-reader";
const SIGNALS_WRITER: &str = "phalanx-signals-writer";

/// The state until it is taken.
static WAITING: Mutex<Option<TakenState>> = Mutex::new(None);

/// The descriptors that the image before this one kept. What is not taken is closed when this is dropped.
#[derive(Debug)]
pub struct TakenState {
    descriptors: Descriptors,
}

impl TakenState {
    /// Takes the first descriptor of this name that was not taken yet.
    pub fn take(&mut self, name: &str) -> Result<OwnedFd, Error> {
        let taken = self.descriptors.take(name);
        taken.ok_or_else(|| bad(format!("the image before this one kept no \"{name}\"")))
    }

    /// Takes all descriptors of this name, in the order in which they were kept.
    pub fn take_all(&mut self, name: &str) -> Vec<OwnedFd> {
        self.descriptors.take_all(name)
    }

    /// Takes whatever is left, with the names.
    pub fn take_rest(&mut self) -> Vec<(String, OwnedFd)> {
        self.descriptors.take_rest()
    }
}

/// What the image before this one handed over; once. `None` if this process was started anew.
pub fn take_state() -> Option<TakenState> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The state as the environment tells it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HandOver {
    pub(super) pid: u32,
    /// Signals that were held back before the exec.
    pub(super) mask: SignalMask,
    /// Signals that the old image took.
    pub(super) handled: SignalMask,
    /// The role that the process was started in.
    pub(super) role: Option<String>,
    pub(super) descriptors: Vec<(String, RawFd)>,
}

impl HandOver {
    /// Adds the pipe of the signals.
    pub(super) fn with_signals(mut self, reader: RawFd, writer: RawFd, handled: SignalMask) -> HandOver {
        self.descriptors.extend([(SIGNALS_READER.to_owned(), reader), (SIGNALS_WRITER.to_owned(), writer)]);
        self.handled = handled;
        self
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("pid={};mask={:x};handled={:x}", self.pid, self.mask.0, self.handled.0);
        if let Some(role) = &self.role {
            text.push_str(&format!(";role={role}"));
        }
        for (name, number) in &self.descriptors {
            text.push_str(&format!(";fd:{name}={number}"));
        }
        text
    }

    pub(super) fn parse(text: &str) -> Result<HandOver, Error> {
        let no_number = || bad(format!("no number in \"{text}\""));
        let mut state = HandOver::default();
        for part in text.split(';') {
            let (key, value) = part.split_once('=').ok_or_else(|| bad(format!("no value in \"{text}\"")))?;
            match key {
                "pid" => state.pid = value.parse().map_err(|_| no_number())?,
                "mask" => state.mask.0 = u64::from_str_radix(value, 16).map_err(|_| no_number())?,
                "handled" => state.handled.0 = u64::from_str_radix(value, 16).map_err(|_| no_number())?,
                "role" => state.role = Some(value.to_owned()),
                _ if key.starts_with("fd:") => {
                    let named = part.strip_prefix("fd:").and_then(descriptors::parse);
                    state.descriptors.push(named.ok_or_else(no_number)?);
                }
                _ => {}
            }
        }
        Ok(state)
    }
}

/// What there is to know before this process goes on.
pub(crate) struct Resumed {
    /// The role that the process was started in, long ago.
    pub(crate) role: Option<String>,
}

/// Takes over from the image before this one.
///
/// # Safety
///
/// Only in `init`: there is no other thread, and nothing in this process owns a descriptor yet.
pub(crate) unsafe fn resume(text: &str) -> Result<Resumed, Error> {
    let state = HandOver::parse(text)?;
    if state.pid != std::process::id() {
        let why = format!("it was meant for process {}, not for {}", state.pid, std::process::id());
        return Err(bad(why));
    }
    // SAFETY: the image before this one kept them open for us, and the caller vouches that nothing else owns one.
    let mut descriptors = unsafe { Descriptors::own(state.descriptors) }.map_err(bad)?;
    if let (Some(reader), Some(writer)) = (descriptors.take(SIGNALS_READER), descriptors.take(SIGNALS_WRITER)) {
        signals::resume(reader, writer, state.handled)?;
    }
    // From here on they are noted, so they can come.
    state.mask.restore();
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(TakenState { descriptors });
    Ok(Resumed { role: state.role })
}

fn bad(why: impl Into<String>) -> Error {
    Error::BadHandOver { variable: STATE_VARIABLE, why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = HandOver { pid: 7, role: Some("primary".into()), ..HandOver::default() };
        let mut state = state.with_signals(8, 9, SignalMask(0x4000));
        state.descriptors.extend([("listener".to_owned(), 5), ("listener".to_owned(), 6)]);
        assert_eq!(HandOver::parse(&state.to_text()).unwrap(), state);
    }

    #[test]
    fn parts_of_another_version_are_passed_over_and_nonsense_is_refused() {
        let newer = HandOver::parse("pid=7;colour=green;fd:a=3").unwrap();
        assert_eq!((newer.pid, newer.descriptors.len(), newer.mask), (7, 1, SignalMask(0)));
        for text in ["", "pid=x", "pid=7;mask=xyz", "pid=7;fd:a=b", "pid"] {
            assert!(HandOver::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
