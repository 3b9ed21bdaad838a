//! The pool of the crate procspawn. It has no futures: to wait for a result is to block, so that those of many tasks are
//! joined in the order in which they were submitted.

use measuring::{During, Failure, stay_on};
use procspawn::{JoinHandle, Pool};
use serde_bytes::ByteBuf;

use crate::figures::Figures;
use crate::rival::Measure;
use crate::work::{Work, once};
use crate::{Measurement, children, crash, crowd, lone, start, window};

const VALUE: u64 = 7;

pub(crate) async fn drive(measurement: &Measurement) -> Result<Figures, Failure> {
    let measure = measurement.measure;
    match measure {
        Measure::Lone => {
            let numbers = Numbers(pool(1)?);
            once(&numbers).await?;
            children::stay_on(measurement.peer_core)?;
            stay_on(measurement.own_core)?;
            lone::measure(&numbers, measurement).await
        }
        Measure::Crowd => window::measure(&Numbers(pool(2)?), crowd::IN_FLIGHT, measurement).await,
        Measure::Kibibyte | Measure::Kibibytes64 | Measure::Mebibyte | Measure::Mebibytes16 => {
            // With more in flight than processes, procspawn waits for itself as soon as payloads are larger than the
            // buffers of its sockets.
            let bytes = Bytes { pool: pool(2)?, payload: vec![1; measure.payload_bytes()] };
            let figures = window::measure(&bytes, window::IN_FLIGHT, measurement).await?;
            Ok(figures.in_megabytes_of(measure.payload_bytes()))
        }
        Measure::Start => start::measure(|| Ok(Numbers(pool(1)?)), measurement).await,
        Measure::Crash => crash::measure(&Mortals(Numbers(pool(1)?)), measurement).await,
        Measure::Photo => Err(measurement.rival.has_no(measure)),
    }
}

fn pool(processes: usize) -> Result<Pool, Failure> {
    Pool::new(processes).during("build the pool")
}

struct Numbers(Pool);

impl Work for Numbers {
    type Taken = JoinHandle<u64>;

    fn submit(&self) -> JoinHandle<u64> {
        self.0.spawn(VALUE, |value| value)
    }

    async fn finish(&self, taken: JoinHandle<u64>) -> Result<(), Failure> {
        match taken.join().during("run a task")? {
            VALUE => Ok(()),
            other => Err(Failure::new(format!("{VALUE} came back as {other}"))),
        }
    }
}

/// Numbers for processes that die: to submit to a dead one is a panic of the pool.
struct Mortals(Numbers);

impl Work for Mortals {
    type Taken = Option<JoinHandle<u64>>;

    fn submit(&self) -> Option<JoinHandle<u64>> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.0.submit())).ok()
    }

    async fn finish(&self, taken: Option<JoinHandle<u64>>) -> Result<(), Failure> {
        match taken {
            Some(taken) => self.0.finish(taken).await,
            None => Err(Failure::new("the pool panicked")),
        }
    }
}

struct Bytes {
    pool: Pool,
    payload: Vec<u8>,
}

impl Work for Bytes {
    type Taken = JoinHandle<ByteBuf>;

    fn submit(&self) -> JoinHandle<ByteBuf> {
        self.pool.spawn(ByteBuf::from(self.payload.clone()), |payload| payload)
    }

    async fn finish(&self, taken: JoinHandle<ByteBuf>) -> Result<(), Failure> {
        let payload = taken.join().during("run a task")?;
        if payload.len() == self.payload.len() { Ok(()) } else { Err(Failure::new("the payload came back shorter")) }
    }
}
