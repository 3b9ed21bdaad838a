//! The ecosystem file as data: JSON and YAML are read, JavaScript is run by node.

use std::path::Path;

use phalanx::process::exec_file;
use serde_json::Value;

use super::yaml;
use crate::run_command::app::Wrong;

/// A file that says what apps there are needs no longer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// What node does: the file is a module of either kind, and may export a function.
const EVALUATE: &str = "\
const file = require('node:url').pathToFileURL(require('node:path').resolve(process.argv[1]));
import(file).then(async (module) => {
  let found = module.default ?? module;
  if (typeof found === 'function') found = await found();
  require('node:fs').writeSync(3, JSON.stringify(found));
}).catch((error) => { console.error(String(error && error.message || error)); process.exit(1); });";

/// What the file says.
pub(super) fn read(file: &Path) -> Result<Value, Wrong> {
    let wrong = |why: String| Wrong(format!("cannot import {}: {why}", file.display()));
    let text = || std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()));
    let of_json = |text: &str| serde_json::from_str(text).map_err(|error| wrong(format!("it is no JSON: {error}")));
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("json") => of_json(&text()?),
        Some("js" | "cjs" | "mjs") => {
            // One that is not there is our word, not node's.
            text()?;
            of_json(&evaluated(file).map_err(wrong)?)
        }
        Some("yml" | "yaml") => yaml::parse(&text()?)
            .map_err(|why| wrong(format!("{why}; as JSON it can be: npx js-yaml FILE.yml > FILE.json"))),
        _ => Err(wrong("it must end with .js, .cjs, .mjs, .json, .yml or .yaml".into())),
    }
}

/// By node, with a descriptor for the answer, so that what the file prints is not taken for it.
fn evaluated(file: &Path) -> Result<String, String> {
    let script = "exec 3>&1 1>&2; exec node --input-type=commonjs -e \"$0\" -- \"$1\"";
    let said = exec_file("/bin/sh", ["-c".into(), script.into(), EVALUATE.into(), file.as_os_str().to_owned()])
        .timeout(PATIENCE)
        .run_blocking();
    said.map(|said| said.stdout_text()).map_err(|error| format!("node cannot tell what is in it: {error}"))
}
