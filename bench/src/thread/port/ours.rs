//! Ours: a channel between two event loops or two plain threads, and the port that every worker has.

use std::time::Duration;

use measuring::{During, Failure};
use phalanx_thread::{Worker, message_channel};

use super::sides::{count, count_awaited, send_back, send_back_awaited};
use super::{ended, event_loop};
use crate::Task;
use crate::figures::Figures;

/// Nobody who lives is silent for so long.
const DEADLINE: Duration = Duration::from_secs(5);

pub(super) fn awaited<T: Send + 'static>(task: Task, value: T) -> Result<Figures, Failure> {
    let (ours, theirs) = message_channel::<T, T>();
    std::thread::spawn(move || {
        event_loop()?.block_on(send_back_awaited(task, async || {
            let value = theirs.recv().await.ok_or_else(ended)?;
            theirs.post(value).await.during("post back")
        }))
    });
    event_loop()?.block_on(count_awaited(task, value, async |value| {
        ours.post(value).await.during("post")?;
        ours.recv().await.ok_or_else(ended)
    }))
}

pub(super) fn blocking<T: Send + 'static>(task: Task, value: T) -> Result<Figures, Failure> {
    let (ours, theirs) = message_channel::<T, T>();
    std::thread::spawn(move || {
        send_back(task, || {
            let value = theirs.recv_blocking(DEADLINE).during("receive")?.ok_or_else(ended)?;
            theirs.post_blocking(value, DEADLINE).during("post back")
        })
    });
    count(task, value, |value| {
        ours.post_blocking(value, DEADLINE).during("post")?;
        ours.recv_blocking(DEADLINE).during("receive")?.ok_or_else(ended)
    })
}

pub(super) fn of_a_worker<T: Send + 'static>(task: Task, value: T) -> Result<Figures, Failure> {
    event_loop()?.block_on(async {
        let worker = Worker::<T, T>::spawn(task, async |scope| {
            send_back_awaited(*scope.worker_data(), async || {
                let value = scope.recv().await.ok_or_else(ended)?;
                scope.post(value).await.during("post back")
            })
            .await
        });
        let worker = worker.during("start a worker")?;
        let figures = count_awaited(task, value, async |value| {
            worker.post(value).await.during("post")?;
            worker.recv().await.ok_or_else(ended)
        })
        .await?;
        worker.terminate().await;
        Ok(figures)
    })
}
