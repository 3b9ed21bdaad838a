//! What all requests of one worker share.

use crate::config::Config;
use crate::jobs::{Connection, MOST_STREAMS};
use crate::memory::SharedBudget;
use crate::request::{Refusals, RequestIds};
use crate::serve::AnyError;
use crate::store::Store;
use crate::streams::Passphrases;
use crate::work::Work;
use bytes::Bytes;
use http::HeaderValue;
use phalanx::Worker;
use phalanx::image::Limits;
use phalanx_stream::Identities;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OnceCell, Semaphore};

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
    pub(crate) budget: SharedBudget,
    pub(crate) limits: Limits,
    pub(crate) work: Work,
    pub(crate) jobs: Connection,
    /// Places for streams of events.
    pub(crate) streams: Arc<Semaphore>,
    /// How passphrases are tried.
    pub(crate) passphrases: Passphrases,
    /// With which is decrypted what brings no key.
    pub(crate) identities: Option<Identities>,
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
    /// Within a runtime.
    pub(crate) fn new(config: Config, worker: &Worker, work: Work) -> Result<Self, AnyError> {
        let identities = config.streaming.identity.as_ref().map(Identities::file).transpose()?;
        Ok(App(Arc::new(Shared {
            worker: worker.clone(),
            worker_id: HeaderValue::from(worker.id().get()),
            worker_pid: HeaderValue::from(std::process::id()),
            request_ids: RequestIds::new()?,
            refusals: Refusals::new(),
            store: Arc::new(Store::new(&config.store, config.store_limit_bytes)),
            budget: SharedBudget::of_cluster(config.memory_bytes, worker),
            limits: Limits { source_pixels: config.max_pixels, job_bytes: config.job_bytes(), ..Limits::default() },
            work,
            jobs: Connection::begin(&config.queueing),
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
            passphrases: Passphrases::new(&config),
            identities,
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
