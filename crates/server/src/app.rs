//! What all requests of one worker share.

use crate::config::Config;
use crate::request::{Refusals, RequestIds};
use crate::store::Store;
use crate::work::Work;
use bytes::Bytes;
use http::HeaderValue;
use phalanx::Worker;
use phalanx::image::Limits;
use phalanx::memory::Budget;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::OnceCell;

/// A handle to the worker's one [`Shared`].
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

/// The worker's parts.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) worker: Worker,
    pub(crate) worker_id: HeaderValue,
    pub(crate) worker_pid: HeaderValue,
    pub(crate) request_ids: RequestIds,
    pub(crate) refusals: Refusals,
    pub(crate) store: Arc<Store>,
    pub(crate) budget: Budget,
    pub(crate) limits: Limits,
    pub(crate) work: Work,
    pub(crate) sample: OnceCell<Bytes>,
    draining: AtomicBool,
}

impl Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(config: Config, worker: &Worker, work: Work) -> Result<Self, getrandom::Error> {
        Ok(App(Arc::new(Shared {
            worker: worker.clone(),
            worker_id: HeaderValue::from(worker.id().get()),
            worker_pid: HeaderValue::from(std::process::id()),
            request_ids: RequestIds::new()?,
            refusals: Refusals::new(),
            store: Arc::new(Store::new(&config.store, config.store_limit_bytes)),
            budget: Budget::new(config.memory_bytes),
            limits: Limits {
                source_pixels: config.max_pixels,
                job_bytes: config.job_memory_bytes,
                ..Limits::default()
            },
            work,
            sample: OnceCell::new(),
            draining: AtomicBool::new(false),
            config,
        })))
    }
}

impl Shared {
    /// From now on `/readyz` says that this worker is about to stop.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
