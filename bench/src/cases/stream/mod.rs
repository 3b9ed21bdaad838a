//! `bench stream`: files through `phalanx pipe`, beside the programs that one would use instead and the least it can cost.

mod contender;
mod plan;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::peers::{Absent, built_beside_us, figures};
use crate::table::number;
use contender::{Contender, Files, PROGRAM};
use plan::{IDENTITY, Input, Measure};

const ROUNDS: usize = 5;
const MEBIBYTES: u32 = 1024;
const QUICK_MEBIBYTES: u32 = 8;
/// The slowest (gzip on one core) does some 30 MiB a second; on a busy machine less.
const SLOWEST_MEBIBYTES_A_SECOND: f64 = 5.0;
const MEBIBYTE: u64 = 1 << 20;

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct StreamSettings {
    #[command(flatten)]
    timing: Timing,
    /// MiB of the file [default: 1024]
    #[arg(long)]
    size: Option<u32>,
    /// Only these
    #[arg(long, value_delimiter = ',')]
    measure: Vec<Measure>,
    /// Only these programs
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Where the files are written, some three times the size [default: the folder for temporary files]
    #[arg(long)]
    folder: Option<PathBuf>,
}

impl StreamSettings {
    fn bytes(&self) -> u64 {
        let mebibytes = self.size.unwrap_or_else(|| self.timing.count_or_quick(MEBIBYTES, QUICK_MEBIBYTES));
        u64::from(mebibytes.max(1)) * MEBIBYTE
    }

    fn measures(&self) -> impl Iterator<Item = Measure> {
        Measure::ALL.into_iter().filter(|measure| self.measure.is_empty() || self.measure.contains(measure))
    }

    fn contenders(&self, measure: Measure) -> Vec<Contender> {
        let all = measure.contenders().iter().copied();
        all.filter(|contender| self.only.is_empty() || self.only.contains(contender)).collect()
    }

    fn takes_at_most(&self) -> Duration {
        Duration::from_secs_f64(self.bytes() as f64 / MEBIBYTE as f64 / SLOWEST_MEBIBYTES_A_SECOND)
    }
}

type Key = (Measure, Contender);
type Samples = Results<Key, Sample>;

/// One run.
#[derive(Clone, Copy, Debug)]
struct Sample {
    seconds: f64,
    cpu: f64,
    /// KiB.
    peak: f64,
    /// Of the output.
    bytes: f64,
}

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &StreamSettings) {
    let rounds = settings.timing.rounds(ROUNDS);
    let mut samples = Samples::new();
    match Place::new(settings) {
        Ok(mut place) => {
            for round in 0..rounds {
                for measure in settings.measures() {
                    for contender in in_turn(&settings.contenders(measure), round) {
                        let sample = place.measure(settings, measure, contender).await;
                        let said = sample.as_ref().map_or_else(Absent::to_string, |sample| {
                            format!("{} s, {} CPU s", number(Some(sample.seconds)), number(Some(sample.cpu)))
                        });
                        progress(&format!("round {}, {}, {}: {said}", round + 1, measure.title(), contender.name()));
                        samples.add((measure, contender), sample);
                    }
                }
            }
        }
        Err(absent) => return progress(&absent.to_string()),
    }
    report::print(settings, &samples, rounds);
}

/// Where it takes place: the inputs, made once, and the output.
struct Place {
    folder: TempDir,
    made: BTreeMap<Input, Result<PathBuf, Absent>>,
    bytes: u64,
}

impl Place {
    fn new(settings: &StreamSettings) -> Result<Self, Absent> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("phalanx-bench-stream-");
        let folder = match &settings.folder {
            Some(above) => builder.tempdir_in(above),
            None => builder.tempdir(),
        };
        let folder = folder.map_err(|error| Absent(format!("no folder for the files: {error}")))?;
        let place = Self { folder, made: BTreeMap::new(), bytes: settings.bytes() };
        std::fs::write(place.identity(), format!("{IDENTITY}\n"))
            .map_err(|error| Absent(format!("cannot write the key: {error}")))?;
        Ok(place)
    }

    fn identity(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    async fn measure(
        &mut self,
        settings: &StreamSettings,
        measure: Measure,
        contender: Contender,
    ) -> Result<Sample, Absent> {
        let input = self.input(measure.input())?;
        let output = if measure.is_written() { self.folder.path().join("output") } else { "/dev/null".into() };
        warm(&input)?;
        let identity = self.identity();
        let files = Files { input: &input, output: &output, identity: &identity, bytes: self.bytes };
        let json = figures(contender.command(measure, &files)?, settings.takes_at_most()).await?;
        let sample = read(&json)?;
        if measure.gives_as_much() && sample.bytes != self.bytes as f64 {
            return Err(Absent(format!("it wrote {} bytes instead of {}", sample.bytes, self.bytes)));
        }
        Ok(sample)
    }

    /// The file, which is made if it is not there.
    fn input(&mut self, input: Input) -> Result<PathBuf, Absent> {
        if let Some(made) = self.made.get(&input) {
            return made.clone();
        }
        let made = self.make(input);
        self.made.insert(input, made.clone());
        made
    }

    fn make(&mut self, input: Input) -> Result<PathBuf, Absent> {
        let file = self.folder.path().join(input.name());
        let mut command = match input {
            Input::Plain => {
                let mut command = Command::new(built_beside_us(PROGRAM)?);
                command.arg("text").arg(&file).arg(self.bytes.to_string());
                command
            }
            _ => {
                let mut command = Command::new(built_beside_us("phalanx")?);
                command.arg("pipe").arg(self.input(Input::Plain)?).arg(&file).args(input.stages());
                command
            }
        };
        let failed = |why: String| Absent(format!("cannot make {}: {why}", input.name()));
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(file)
    }
}

/// Into the page cache, for everybody.
fn warm(file: &Path) -> Result<(), Absent> {
    let read = std::fs::File::open(file).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
    read.map(|_| ()).map_err(|error| Absent(format!("cannot read {}: {error}", file.display())))
}

fn read(json: &serde_json::Value) -> Result<Sample, Absent> {
    match ["seconds", "cpu", "peak", "bytes"].map(|key| json[key].as_f64()) {
        [Some(seconds), Some(cpu), Some(peak), Some(bytes)] => Ok(Sample { seconds, cpu, peak, bytes }),
        _ => Err(Absent(format!("it printed no figures: {json}"))),
    }
}
