//! The owner of an embedded queue as a companion of the cluster: there before the workers, gone after them.
//!
//! Without it the first worker would start one on demand, and nobody would look after it.

use crate::config::{Config, Settings};
use crate::logs;
use crate::serve::AnyError;
use crate::start;
use phalanx::{Cluster, Companion};
use phalanx_queue::embedded::Owner;

/// Its name: `ps` shows "phalanx: queue".
const NAME: &str = "queue";

/// The cluster with an owner beside it.
pub(crate) fn beside(cluster: Cluster) -> Cluster {
    cluster.companion(NAME, own)
}

/// The whole life of the owner, until the primary ends it.
fn own(companion: Companion) -> Result<(), AnyError> {
    let config = Config::check(Settings::from_snapshot(companion.settings())?, start::machine())?;
    let _logs_until_the_end = logs::start(config.log_format, config.log_level);
    let folder = config.queueing.embedded_folder().ok_or("the queue of this server needs no owner")?;
    // It logs its own error.
    Ok(Owner::builder(folder).run()?)
}
