//! [`Awaited`]: lines by which programs say that they are ready.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use memchr::memmem::Finder;
use tokio::sync::Notify;

use crate::WorkerId;

/// What is looked for, and what was found.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    texts: RefCell<BTreeMap<WorkerId, Finder<'static>>>,
    seen: RefCell<VecDeque<WorkerId>>,
    some: Notify,
}

impl Awaited {
    pub(super) fn begin(&self, worker: WorkerId, text: String) {
        self.texts.borrow_mut().insert(worker, Finder::new(&text).into_owned());
    }

    pub(super) fn end(&self, worker: WorkerId) {
        self.texts.borrow_mut().remove(&worker);
    }

    /// A worker has written this line.
    pub(super) fn look(&self, worker: WorkerId, line: &[u8]) {
        let mut texts = self.texts.borrow_mut();
        if texts.get(&worker).is_some_and(|text| text.find(line).is_some()) {
            texts.remove(&worker);
            self.seen.borrow_mut().push_back(worker);
            self.some.notify_one();
        }
    }

    /// The next worker whose line was seen.
    pub(super) async fn seen(&self) -> WorkerId {
        loop {
            if let Some(worker) = self.seen.borrow_mut().pop_front() {
                return worker;
            }
            self.some.notified().await;
        }
    }
}
