//! The worker's process becomes the program.

use std::os::fd::{AsFd, OwnedFd};

use phalanx_channel::Packets;
use phalanx_channel::node::{CHANNEL_FD_VARIABLE, SERIALIZATION_VARIABLE};
use phalanx_process::{Command, SpawnError, Stdio, TakenRole};
use phalanx_shared::Blob;

use super::Program;
use super::fill::Filling;
use crate::attendant::NOTIFY_VARIABLE;
use crate::control::{MAX_FAILURE_TEXT, ToPrimary, descriptor};
use crate::listener::Listener;
use crate::primary::MARK;
use crate::supervisor::{BAD_SETTINGS, DO_NOT_RESTART};
use crate::{Error, Place, WorkerId};

/// Most bytes of a description; the primary made it (64 MiB).
const MAX_DESCRIPTION: usize = 64 << 20;

/// Most bytes of who a worker is.
const MAX_BIRTH: usize = 4096;

/// Where a worker of `node:cluster` finds its number.
const NODE_UNIQUE_ID: &str = "NODE_UNIQUE_ID";

/// Plays the role of a worker until it is the program. Does not return.
pub(crate) fn execute(mut role: TakenRole) -> ! {
    let control =
        role.take(descriptor::CONTROL).map_err(Error::from).and_then(|line| Ok(Packets::from_descriptor(line)?));
    let control = match control {
        Ok(control) => control,
        Err(error) => fail(None, &error.to_string(), 1),
    };
    match Birth::receive(&mut role).and_then(Birth::command) {
        // A program that is not there will not be there the next time: only a reload looks again.
        Ok(command) => match command.execute() {
            error @ SpawnError::Setting { .. } => fail(Some(&control), &error.to_string(), 1),
            error => fail(Some(&control), &error.to_string(), BAD_SETTINGS),
        },
        Err(why) => fail(Some(&control), &why, DO_NOT_RESTART),
    }
}

fn fail(control: Option<&Packets>, why: &str, code: i32) -> ! {
    match control {
        Some(control) => {
            let mut words = why.to_owned();
            words.truncate(
                (0..=words.len().min(MAX_FAILURE_TEXT)).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0),
            );
            let _ = control.send(&ToPrimary::Failed(words), &[]);
        }
        None => eprintln!("phalanx | the program cannot be started: {why}"),
    }
    std::process::exit(code)
}

/// What one worker is given.
struct Birth {
    worker: WorkerId,
    place: Place,
    program: Program,
    sockets: Vec<(String, OwnedFd)>,
    channel: Option<OwnedFd>,
    notify: Option<String>,
}

impl Birth {
    fn receive(role: &mut TakenRole) -> Result<Birth, String> {
        let mut read = |name, most| {
            let file = role.take(name).map_err(|error| error.to_string())?;
            Blob::from_descriptor(file, most).map_err(|error| error.to_string())
        };
        let (worker, place, notify) = decode(&read(descriptor::BIRTH, MAX_BIRTH)?)?;
        let program: Program = decode(&read(descriptor::SETTINGS, MAX_DESCRIPTION)?)?;
        let sockets = if program.inherits { take_sockets(role)? } else { Vec::new() };
        let channel = role.take_all(descriptor::NODE_CHANNEL).pop();
        Ok(Birth { worker, place, program, sockets, channel, notify })
    }

    /// The program with everything that it is given.
    fn command(self) -> Result<Command, String> {
        let Birth { worker, place, program, sockets, channel, notify } = self;
        let names: Vec<String> = sockets.iter().map(|(name, _)| name.clone()).collect();
        let filling = Filling { instance: place.0, sockets: &names };
        let mut command = Command::new(program.program).stdin(Stdio::Null).process_group();
        if program.only_named {
            command = command.env_clear();
        }
        command = command
            .env("PHALANX_INSTANCE", place.0.to_string())
            .env("NODE_APP_INSTANCE", place.0.to_string())
            .env(MARK, worker.get().to_string());
        for argument in &program.arguments {
            command = command.arg(filling.fill(argument)?);
        }
        for (name, value) in &program.environment {
            command = command.env(name, filling.fill(value)?);
        }
        if let Some(name) = &program.fd_variable {
            command = command.env(name, filling.all_descriptors());
        }
        if let Some(directory) = &program.directory {
            command = command.cwd(directory);
        }
        command = match notify {
            Some(address) => command.env(NOTIFY_VARIABLE, address),
            None => command.env_remove(NOTIFY_VARIABLE),
        };
        // Above the sockets, which have to begin at 3.
        let above = 3 + i32::try_from(sockets.len()).unwrap_or(i32::MAX - 3);
        if let (Some(node), Some(channel)) = (program.node, channel) {
            command = command
                .env(CHANNEL_FD_VARIABLE, above.to_string())
                .env(SERIALIZATION_VARIABLE, node.serialization().name())
                .env(NODE_UNIQUE_ID, worker.get().to_string())
                .fd(above, channel);
        }
        Ok(if sockets.is_empty() { command } else { command.listen_fds(sockets) })
    }
}

fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    postcard::from_bytes(bytes).map_err(|error| format!("what it was told is no description of a program: {error}"))
}

/// The sockets, each named by its address as far as a name may hold it.
fn take_sockets(role: &mut TakenRole) -> Result<Vec<(String, OwnedFd)>, String> {
    let all = role.take_all(descriptor::LISTENER).into_iter().chain(role.take_all(descriptor::GIVEN_LISTENER));
    all.map(|socket| {
        let copy = socket.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
        let address = Listener::new(copy, crate::listener::Origin::Given).map_err(|error| error.to_string())?;
        Ok((name_of(&address), socket))
    })
    .collect()
}

/// sd_listen_fds(3): a name holds no `:` and no control characters, and at most 255 bytes.
fn name_of(listener: &Listener) -> String {
    let address = listener.address().to_string();
    let port = listener.address().tcp().map(|address| address.port().to_string());
    let mut name = port.unwrap_or_else(|| address.replace(|c: char| c == ':' || c.is_control(), "-"));
    while name.len() > 255 {
        name.pop();
    }
    name
}
