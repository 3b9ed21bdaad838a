//! One run: starts everything, strikes while it works, waits until it is quiet, judges.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::keeper::{self, Keeper, Which};
use crate::ledger::{self, Ledger, Word};
use crate::part::Part;
use crate::random::Random;
use crate::system;
use crate::verdict::{self, Verdict};
use crate::weather::{Blow, Weather};

const PRODUCERS: usize = 3;
const WORKERS: usize = 3;
/// Numbers that one life of a producer may use.
const NUMBERS_OF_A_LIFE: u64 = 1_000_000;
/// After the last blow: longer than a lease lasts, and a broker needs to notice what died.
const CALM: Duration = Duration::from_secs(150);
/// Nothing has ended for so long: nothing more will.
const SILENCE: Duration = Duration::from_secs(45);

/// One run against one keeper.
pub(crate) struct Run {
    pub(crate) which: Which,
    pub(crate) seed: u64,
    pub(crate) storm: Duration,
}

/// Everything of a run that lives.
struct Scene {
    keeper: Keeper,
    url: String,
    runs: PathBuf,
    producers: Vec<Part>,
    workers: Vec<Part>,
    ear: Sender<Word>,
    words: Receiver<Word>,
    ledger: Ledger,
    lives: u64,
    random: Random,
    blows: BTreeMap<&'static str, u64>,
}

/// `None` if what it needs is not installed.
pub(crate) fn run(run: &Run) -> Result<Option<Verdict>, String> {
    let folder = tempfile::Builder::new().prefix("phalanx-storm-").tempdir().map_err(|error| error.to_string())?;
    let Some(keeper) = Keeper::start(run.which, folder.path())? else { return Ok(None) };
    let mut scene = Scene::set(keeper, folder.path(), run.seed)?;
    let weather = Weather::new(Random::new(run.seed, "weather"), scene.keeper.is_slow(), scene.keeper.is_remote());
    scene.storm(weather, run.storm)?;
    scene.calm();
    let (ledger, keeps_state, url) = (std::mem::take(&mut scene.ledger), scene.keeper.keeps_state(), scene.url.clone());
    let runs = ledger::runs(&scene.runs);
    let kept = if keeps_state { Some(verdict::ask(&url, &ledger)?) } else { None };
    Ok(Some(Verdict::of(&ledger, &runs, kept, std::mem::take(&mut scene.blows))))
}

impl Scene {
    fn set(keeper: Keeper, folder: &Path, seed: u64) -> Result<Scene, String> {
        let (ear, words) = channel();
        let mut scene = Scene {
            url: keeper.url(),
            keeper,
            runs: folder.join("runs"),
            producers: Vec::new(),
            workers: Vec::new(),
            ear,
            words,
            ledger: Ledger::default(),
            lives: 0,
            random: Random::new(seed, "scene"),
            blows: BTreeMap::new(),
        };
        scene.fill_up()?;
        Ok(scene)
    }

    /// As many producers and workers as there shall be.
    fn fill_up(&mut self) -> Result<(), String> {
        self.producers.retain_mut(|part| !part.is_over());
        self.workers.retain_mut(|part| !part.is_over());
        while self.producers.len() < PRODUCERS {
            self.lives += 1;
            let first = (self.lives * NUMBERS_OF_A_LIFE).to_string();
            let seed = self.random.next().to_string();
            let runs = self.runs.display().to_string();
            let arguments =
                ["--role", "producer", "--url", &self.url, "--first", &first, "--runs", &runs, "--seed", &seed];
            self.producers.push(Part::start(&arguments.map(str::to_owned), self.ear.clone())?);
        }
        while self.workers.len() < WORKERS {
            // Both kinds of places in which a runner runs jobs.
            let place = self.random.one_of(&["threads", "processes"]).copied().unwrap_or("threads");
            let arguments = ["--role", "worker", "--url", &self.url, "--place", place];
            self.workers.push(Part::start(&arguments.map(str::to_owned), self.ear.clone())?);
        }
        Ok(())
    }

    fn storm(&mut self, mut weather: Weather, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let (lull, blow) = weather.next();
            self.listen(lull);
            self.strike(blow)?;
            self.fill_up()?;
        }
        Ok(())
    }

    fn strike(&mut self, blow: Blow) -> Result<(), String> {
        let name = match blow {
            Blow::KillProducer => {
                let at = self.random.below(self.producers.len());
                self.producers[at].kill();
                "producers killed"
            }
            Blow::KillWorker => {
                let at = self.random.below(self.workers.len());
                self.workers[at].kill();
                "workers killed"
            }
            Blow::StopWorker(time) => {
                let at = self.random.below(self.workers.len());
                let pid = self.workers[at].pid();
                system::send(pid, Signal::STOP);
                self.listen(time);
                system::send(pid, Signal::CONT);
                "workers stopped"
            }
            Blow::KillKeeper => {
                let coin = self.random.below(2) == 0;
                self.keeper.kill(coin)?;
                "keeper killed"
            }
            Blow::CutOff(time) if keeper::own_network() => {
                keeper::loopback(false)?;
                self.listen(time);
                keeper::loopback(true)?;
                "network down"
            }
            Blow::CutOff(time) => {
                self.keeper.hush(true)?;
                self.listen(time);
                self.keeper.hush(false)?;
                "keeper silent"
            }
        };
        *self.blows.entry(name).or_default() += 1;
        Ok(())
    }

    /// Nothing is struck any more, nothing new is submitted; until all that was confirmed has ended, or nothing moves.
    fn calm(&mut self) {
        let began = Instant::now();
        // Producers go on waiting for results, so they live on; they were told to submit no more.
        self.producers.iter_mut().for_each(Part::calm);
        let (mut runs, mut moved) = (0, Instant::now());
        while began.elapsed() < CALM && moved.elapsed() < SILENCE {
            self.listen(Duration::from_millis(250));
            let ran = ledger::runs(&self.runs);
            if self.ledger.confirmed.keys().all(|number| ran.contains_key(number)) && moved.elapsed() > AFTER_THE_LAST {
                return;
            }
            if ran.len() != runs {
                (runs, moved) = (ran.len(), Instant::now());
            }
            // One that died with its keeper is replaced: what is left has to be run by somebody.
            if self.workers.iter_mut().all(Part::is_over) {
                let _ = self.fill_up();
            }
        }
    }

    /// Writes down what is said for this long.
    fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(word) = self.words.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.ledger.note(word);
        }
    }
}

/// From the last run of a task to the last result, for the finish has to be recorded.
const AFTER_THE_LAST: Duration = Duration::from_secs(3);
