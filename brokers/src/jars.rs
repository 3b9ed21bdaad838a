//! Kafka's jars: fetched once by Maven, kept beside what cargo builds.
//!
//! ```text
//! pom.xml (ours) ──mvn──▶ target/kafka-VERSION.part/ ──rename──▶ target/kafka-VERSION/*.jar
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::programs::{on_path, run};

/// The newest that Java 17 runs and that the tests were seen with.
pub(crate) const VERSION: &str = "4.1.1";
/// What Kafka's own distribution takes is log4j; this one writes to the standard error and needs no configuration.
const LOG_BINDING: &str = "1.7.36";
/// 43 MB over a slow line.
const FETCH_SECONDS: &str = "600";
/// Cargo writes it into each target folder.
const TARGET_FOLDER_MARK: &str = "CACHEDIR.TAG";

/// The folder with the jars; `None` if they are not there and Maven is not installed.
pub(crate) fn folder() -> Result<Option<PathBuf>, String> {
    let cache = cache_folder();
    let jars = cache.join(format!("kafka-{VERSION}"));
    if jars.is_dir() {
        return Ok(Some(jars));
    }
    if on_path("mvn", &[]).is_none() {
        return Ok(None);
    }
    let _lock = lock(&cache)?;
    // Somebody else may have fetched them meanwhile.
    if !jars.is_dir() {
        fetch(&cache.join(format!("kafka-{VERSION}.part")), &jars)?;
    }
    Ok(Some(jars))
}

/// Beside what cargo builds; if this program was not built there, in the folder for temporary files.
fn cache_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let target = own.ancestors().find(|folder| folder.join(TARGET_FOLDER_MARK).is_file());
    target.map_or_else(std::env::temp_dir, Path::to_owned)
}

/// Held by whoever fetches.
fn lock(cache: &Path) -> Result<File, String> {
    let path = cache.join("kafka.lock");
    let locked = File::options().create(true).append(true).open(&path).and_then(|file| {
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    locked.map_err(|error| format!("cannot lock {}: {error}", path.display()))
}

fn fetch(part: &Path, jars: &Path) -> Result<(), String> {
    let cannot_write = |error: std::io::Error| format!("cannot write to {}: {error}", part.display());
    if part.exists() {
        fs::remove_dir_all(part).map_err(cannot_write)?;
    }
    fs::create_dir(part).map_err(cannot_write)?;
    fs::write(part.join("pom.xml"), pom()).map_err(cannot_write)?;
    // Maven itself waits for a silent repository for ever.
    let mut maven = Command::new("timeout");
    maven.args(["--kill-after=5", FETCH_SECONDS, "mvn"]);
    maven.args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg("-DoutputDirectory=.").current_dir(part);
    run(&mut maven).map_err(|why| format!("Maven did not bring Kafka's jars (does it reach a repository?): {why}"))?;
    fs::rename(part, jars).map_err(cannot_write)
}

fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>phalanx</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>{}{}</dependencies>\
         </project>\n",
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.slf4j", "slf4j-simple", LOG_BINDING)
    )
}
