//! The child: tries one thing.

use std::fmt::Debug;
use std::io;

use phalanx_process::TakenRole;

use crate::{allowed, denied, levels};

pub(crate) fn play(mut role: TakenRole) {
    let what = std::env::args().nth(1).unwrap();
    match what.as_str() {
        "tell the confinement" => levels::tell(),
        "count the descriptors" => levels::count_descriptors(),
        "tell arguments and environment" => levels::tell_arguments(),
        "wait for the end of input" => levels::wait_for_input(),
        _ => {
            let mut attempts = denied::ATTEMPTS.iter().chain(denied::CALLS).chain(allowed::ATTEMPTS);
            let Some((_, attempt)) = attempts.find(|(name, _)| *name == what) else { panic!("unknown: {what}") };
            println!("{}", attempt(&mut role));
        }
    }
}

/// An attempt by its name; it tells what came of it.
pub(crate) type Attempt = (&'static str, fn(&mut TakenRole) -> String);

/// `done`, or the number of the error.
pub(crate) fn outcome<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "done".into(),
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM) => "EPERM".into(),
            Some(libc::EACCES) => "EACCES".into(),
            Some(libc::ENOSYS) => "ENOSYS".into(),
            _ => error.to_string(),
        },
    }
}

/// What came of a call that gives -1 and `errno` where it fails.
pub(crate) fn of_call(result: libc::c_long) -> String {
    outcome(if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) })
}

/// `done` if both are the same.
pub(crate) fn same<T: PartialEq + Debug>(left: T, right: T) -> String {
    if left == right { "done".into() } else { format!("{left:?} is not {right:?}") }
}
