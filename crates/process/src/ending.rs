//! [`Ending`]: when a child is ended by us, and how.

use std::pin::Pin;
use std::time::Duration;

use crate::Signal;

/// Between the first signal and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Resolves when somebody cancels.
pub(crate) type Cancelled = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When a child is ended by us, and how.
pub(crate) struct Ending {
    pub(crate) timeout: Option<Duration>,
    pub(crate) cancelled: Option<Cancelled>,
    pub(crate) signal: Signal,
    pub(crate) grace: Duration,
    pub(crate) on_drop: OnDrop,
}

/// What the drop of its [`Child`](crate::Child) means for a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDrop {
    LivesOn,
    Kill,
}

/// Why a child was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It ran longer than its timeout.
    Timeout,
    /// It was cancelled.
    Cancelled,
}

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ending { timeout, signal, grace, on_drop, .. } = self;
        write!(f, "Ending {{ timeout: {timeout:?}, signal: {signal}, grace: {grace:?}, on_drop: {on_drop:?} }}")
    }
}

impl Default for Ending {
    fn default() -> Ending {
        Ending { timeout: None, cancelled: None, signal: Signal::Terminate, grace: GRACE, on_drop: OnDrop::LivesOn }
    }
}

impl Ending {
    /// Resolves when the child is to be ended; never if nothing ends it.
    pub(crate) async fn due(
        timeout: Option<Duration>,
        cancelled: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ) -> EndReason {
        let late = async {
            match timeout {
                Some(most) => tokio::time::sleep(most).await,
                None => std::future::pending().await,
            }
        };
        let cancelled = async {
            match cancelled {
                Some(cancelled) => cancelled.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = late => EndReason::Timeout,
            () = cancelled => EndReason::Cancelled,
        }
    }
}
