// child_process.spawn of /bin/true: what `bench spawn` measures beside Phalanx.
// node spawn.js MEASURE SECONDS RESIDENT_MEBIBYTES prints one line of JSON: {"figure":…,"p50":…,"p99":…}.
// MEASURE: `one` after the other or `eight` at once give spawns a second, `pause` the microseconds for which the event
// loop stands still while a program is started.
'use strict';

const { spawn } = require('node:child_process');

const PROGRAM = '/bin/true';
const AT_ONCE = { one: 1, eight: 8, pause: 1 };

const [measure, seconds, mebibytes] = process.argv.slice(2);
// Every page is written to, and so resident, for as long as this program runs.
const resident = Buffer.alloc(Number(mebibytes) << 20, 1);

const started = performance.now();
const pauses = [];
let longest = 0;
let lastRound = 0;
let done = 0;
let running = 0;

if (measure === 'pause') tick();
for (let i = 0; i < AT_ONCE[measure]; i += 1) next();

function next() {
  if (performance.now() - started >= Number(seconds) * 1e3) {
    if (running === 0) report();
    return;
  }
  running += 1;
  longest = 0;
  lastRound = performance.now();
  const child = spawn(PROGRAM, { stdio: 'ignore' });
  child.on('error', (error) => {
    throw error;
  });
  child.on('exit', () => {
    running -= 1;
    done += 1;
    // The wait that has not ended yet included: a loop that was never free has no rounds at all.
    pauses.push(Math.max(longest, performance.now() - lastRound));
    next();
  });
}

/** Comes round as often as the loop lets it; the longest time between two rounds is the pause. */
function tick() {
  const now = performance.now();
  longest = Math.max(longest, now - lastRound);
  lastRound = now;
  setImmediate(tick);
}

function report() {
  const elapsed = (performance.now() - started) / 1e3;
  pauses.sort((a, b) => a - b);
  const at = (share) => pauses[Math.min(pauses.length - 1, Math.floor(pauses.length * share))] * 1e3;
  const figures = { figure: done / elapsed, p50: at(0.5), p99: at(0.99) };
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(resident.length < 0 ? 1 : 0));
}
