//! The tables of `bench image`.

use super::contender::Contender::{self, Phalanx, Sharp, Symbols, Turbojpeg};
use super::plan::{Job, Part, SCALES, SMALL_WIDTH, WIDTH, Work};
use super::subjects::Subject;
use super::{ImageSettings, Sample, Samples, Scores, targets};
use crate::table::{Table, mebibytes, median, number, print_environment_of, spread};

const MILLION: f64 = 1e6;

pub(super) fn print(settings: &ImageSettings, subjects: &[Subject], samples: &Samples, scores: &Scores) {
    println!("## image: pictures in memory to pictures in memory, without a server");
    let mut contenders: Vec<Contender> =
        settings.parts().flat_map(|part| Job::of(part, subjects)).flat_map(|job| settings.contenders(job)).collect();
    contenders.sort();
    contenders.dedup();
    print_environment_of(contenders.iter().map(|contender| (contender.name(), contender.versions())));
    let rounds: Vec<String> = settings
        .parts()
        .map(|part| format!("{part:?} {} of {:?}", settings.rounds(part), settings.counted(part)))
        .collect();
    println!(
        "- medians of rounds ({}), contenders in turn, a process each; [quartiles]; a ratio is the median of the ratios within each round; \
         CPU of all threads; memory is the highest resident size of the process, the source in it",
        rounds.join(", ")
    );
    let report = Report { subjects, samples, scores };
    for part in settings.parts() {
        let jobs = Job::of(part, subjects);
        match part {
            Part::Photos => {
                report.photos(&jobs);
                report.quality(&jobs);
                report.memory(&jobs);
            }
            Part::Threads => report.threads(&jobs),
            Part::Dc => report.shrunk(&jobs, &format!("large progressive photos to {SMALL_WIDTH} px, one thread")),
            Part::Decoder => report.decoder(&jobs),
            Part::Formats => report.formats(&jobs),
        }
    }
    targets::print(settings, &report);
}

/// All that is known at the end.
pub(super) struct Report<'a> {
    pub(super) subjects: &'a [Subject],
    samples: &'a Samples,
    pub(super) scores: &'a Scores,
}

impl Report<'_> {
    pub(super) fn median(&self, job: Job, contender: Contender, figure: fn(&Sample) -> f64) -> Option<f64> {
        self.samples.median(&(job, contender), |sample| Some(figure(sample)))
    }

    /// How many times the CPU of ours `rival` takes.
    pub(super) fn times_ours(&self, job: Job, rival: Contender) -> Option<f64> {
        median(&self.samples.pairs(&(job, rival), &(job, Phalanx), |rival, ours| Some(rival.cpu / ours.cpu)))
    }

    /// How many times the pictures a second of `rival` we make.
    pub(super) fn throughput_beside(&self, job: Job, rival: Contender) -> Option<f64> {
        let pairs =
            self.samples.pairs(&(job, Phalanx), &(job, rival), |ours, rival| Some(ours.per_second / rival.per_second));
        median(&pairs)
    }

    pub(super) fn counted(&self, job: Job, figure: fn(&Sample) -> Option<f64>) -> Option<f64> {
        self.samples.median(&(job, Phalanx), figure)
    }

    fn name(&self, job: Job) -> String {
        self.subjects[job.subject].name.clone()
    }

    fn milliseconds(&self, job: Job, contender: Contender) -> String {
        match self.samples.absent(&(job, contender)) {
            Some(_) => "–".to_owned(),
            None => spread(&self.samples.figures(&(job, contender), |sample| Some(sample.cpu))),
        }
    }

    /// Why there are no figures, once for each reason.
    fn note_absent(&self, table: &mut Table, jobs: &[Job]) {
        for job in jobs {
            for contender in job.contenders() {
                if let Some(absent) = self.samples.absent(&(*job, *contender)) {
                    table.note(&format!("{}, {}: {absent}", contender.name(), self.name(*job)));
                }
            }
        }
    }

    fn photos(&self, jobs: &[Job]) {
        self.shrunk(jobs, &format!("photos to at most {WIDTH} px, JPEG quality 80, one thread"));
    }

    fn shrunk(&self, jobs: &[Job], title: &str) {
        let mut table = Table::new(&[
            "photo",
            "MP",
            "phalanx, CPU ms",
            "sharp",
            "libjpeg-turbo",
            "sharp / ours",
            "libjpeg-turbo / ours",
            "bytes, ours / sharp",
            "peak MiB, phalanx",
            "sharp",
            "libjpeg-turbo",
        ]);
        for &job in jobs {
            let peak = |contender| number(self.median(job, contender, |sample| mebibytes(sample.peak)));
            let bytes = |contender| self.median(job, contender, |sample| sample.bytes);
            table.row(vec![
                self.name(job),
                number(Some(self.subjects[job.subject].pixels as f64 / MILLION)),
                self.milliseconds(job, Phalanx),
                self.milliseconds(job, Sharp),
                self.milliseconds(job, Turbojpeg),
                number(self.times_ours(job, Sharp)),
                number(self.times_ours(job, Turbojpeg)),
                crate::table::ratio(bytes(Phalanx), bytes(Sharp)).map_or("–".into(), |ratio| format!("{ratio:.3}")),
                peak(Phalanx),
                peak(Sharp),
                peak(Turbojpeg),
            ]);
        }
        self.note_absent(&mut table, jobs);
        table.print(title);
    }

    fn quality(&self, jobs: &[Job]) {
        let mut table = Table::new(&[
            "SSIMULACRA2 / PSNR dB beside the float reference",
            "phalanx",
            "sharp",
            "libjpeg-turbo",
            "SSIMULACRA2, ours − sharp's",
        ]);
        for &job in jobs {
            let score = |contender| self.scores.get(&(job, contender));
            if score(Phalanx).is_none() {
                continue;
            }
            let cell = |contender| match score(contender) {
                Some(score) => format!("{:.1} / {:.2}", score.ssimulacra2, score.psnr),
                None => "–".to_owned(),
            };
            let gained = score(Phalanx).zip(score(Sharp)).map(|(ours, rival)| ours.ssimulacra2 - rival.ssimulacra2);
            table.row(vec![
                self.name(job),
                cell(Phalanx),
                cell(Sharp),
                cell(Turbojpeg),
                gained.map_or("–".into(), |gained| format!("{gained:+.2}")),
            ]);
        }
        table.print("quality of the same");
    }

    fn memory(&self, jobs: &[Job]) {
        let mut table = Table::new(&[
            "MiB of one job",
            "coding",
            "phalanx, allocated at most",
            "announced before",
            "phalanx, process",
            "sharp, process",
        ]);
        for &job in jobs {
            let heap = self.counted(job, |sample| sample.heap).map(mebibytes);
            let announced = self.counted(job, |sample| sample.announced).map(mebibytes);
            table.row(vec![
                self.name(job),
                self.subjects[job.subject].coding.name().to_owned(),
                number(heap),
                number(announced),
                number(self.median(job, Phalanx, |sample| mebibytes(sample.peak))),
                number(self.median(job, Sharp, |sample| mebibytes(sample.peak))),
            ]);
        }
        table.print("memory of the same, by the allocator and by the kernel");
    }

    fn threads(&self, jobs: &[Job]) {
        let mut table =
            Table::new(&["two threads", "phalanx, pictures/s", "sharp", "ours / sharp", "peak MiB, phalanx", "sharp"]);
        for &job in jobs {
            let rate = |contender| spread(&self.samples.figures(&(job, contender), |sample| Some(sample.per_second)));
            let peak = |contender| number(self.median(job, contender, |sample| mebibytes(sample.peak)));
            table.row(vec![
                self.name(job),
                rate(Phalanx),
                rate(Sharp),
                number(self.throughput_beside(job, Sharp)),
                peak(Phalanx),
                peak(Sharp),
            ]);
        }
        self.note_absent(&mut table, jobs);
        table.print(&format!("photos to at most {WIDTH} px by two threads"));
    }

    fn decoder(&self, jobs: &[Job]) {
        let mut table = Table::new(&[
            "photo",
            "coding",
            "1/8, ours",
            "libjpeg-turbo",
            "its / ours",
            "2/8",
            "libjpeg-turbo",
            "its / ours",
            "4/8",
            "libjpeg-turbo",
            "its / ours",
            "8/8",
            "libjpeg-turbo",
            "its / ours",
            "every symbol once",
            "ours at 1/8 / that",
        ]);
        for chunk in jobs.chunk_by(|one, next| one.subject == next.subject) {
            let mut cells = vec![self.name(chunk[0]), self.subjects[chunk[0].subject].coding.name().to_owned()];
            for eighths in SCALES {
                let job = Job { work: Work::Decode { eighths }, ..chunk[0] };
                cells.extend([
                    self.milliseconds(job, Phalanx),
                    self.milliseconds(job, Turbojpeg),
                    number(self.times_ours(job, Turbojpeg)),
                ]);
            }
            let first = chunk[0];
            cells.push(self.milliseconds(first, Symbols));
            cells.push(number(self.times_ours(first, Symbols).map(|bound| 1.0 / bound)));
            table.row(cells);
        }
        self.note_absent(&mut table, jobs);
        table.print("the decoder alone, JPEG to planes at N/8 of the size: CPU ms");
    }

    fn formats(&self, jobs: &[Job]) {
        let mut table = Table::new(&[
            "picture",
            "MP",
            "to",
            "phalanx, CPU ms",
            "sharp",
            "sharp / ours",
            "bytes, ours / sharp",
            "MiB allocated",
            "announced",
            "peak MiB, phalanx",
            "sharp",
        ]);
        for &job in jobs {
            let Work::Shrink { to, .. } = job.work else { continue };
            let peak = |contender| number(self.median(job, contender, |sample| mebibytes(sample.peak)));
            let bytes = |contender| self.median(job, contender, |sample| sample.bytes);
            table.row(vec![
                self.name(job),
                number(Some(self.subjects[job.subject].pixels as f64 / MILLION)),
                to.word().to_owned(),
                self.milliseconds(job, Phalanx),
                self.milliseconds(job, Sharp),
                number(self.times_ours(job, Sharp)),
                crate::table::ratio(bytes(Phalanx), bytes(Sharp)).map_or("–".into(), |ratio| format!("{ratio:.3}")),
                number(self.counted(job, |sample| sample.heap).map(mebibytes)),
                number(self.counted(job, |sample| sample.announced).map(mebibytes)),
                peak(Phalanx),
                peak(Sharp),
            ]);
        }
        self.note_absent(&mut table, jobs);
        table.print(&format!("other formats to at most {WIDTH} px, one thread"));
    }
}
