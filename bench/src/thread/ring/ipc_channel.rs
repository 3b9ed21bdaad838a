//! The crate ipc-channel, by its channels of plain bytes.

use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender};
use measuring::{During, Failure, stay_on};

use super::{round_trips, whole};
use crate::Task;
use crate::cores::Cores;
use crate::figures::Figures;
use crate::peer::{Given, Peer};

/// The ends that the peer makes for the driver.
type Ends = (IpcBytesSender, IpcBytesReceiver);

pub(super) fn drive(task: Task) -> Result<Figures, Failure> {
    let (server, name) = IpcOneShotServer::<Ends>::new().during("open a meeting place")?;
    let _peer = Peer::start(task, Given::MeetingPlace(&name))?;
    let (_bootstrap, (sender, receiver)) = server.accept().during("meet the peer")?;
    stay_on(task.cores.own)?;
    round_trips(task, |message| {
        sender.send(message).during("send")?;
        whole(&receiver.recv().during("receive")?)
    })
}

pub(super) fn answer(cores: Cores, meeting_place: &str) -> Result<(), Failure> {
    let bootstrap = IpcSender::<Ends>::connect(meeting_place.to_owned()).during("meet the driver")?;
    let (to_us, requests) = ipc::bytes_channel().during("make a channel")?;
    let (answers, to_driver) = ipc::bytes_channel().during("make a channel")?;
    bootstrap.send((to_us, to_driver)).during("hand over the ends")?;
    stay_on(cores.peer)?;
    while let Ok(message) = requests.recv() {
        if answers.send(&message).is_err() {
            break;
        }
    }
    Ok(())
}
