// Pools of Node: what `bench task` measures beside Phalanx.
// node task.js RIVAL MEASURE SECONDS WARM_UP_SECONDS OWN_CORE PEER_CORE PINNER prints one line of JSON, whose fields are
// those of phalanx-bench-task.
'use strict';

const { Meter } = require('./meter.js');
const { stayOn } = require('./pinning.js');

const IN_FLIGHT = 64;
const PAYLOADS_IN_FLIGHT = 2;
const LOOK_EVERY = 64;
const VALUE = 7;
const REPLACED_WITHIN_MS = 10_000;
const BETWEEN_TRIES_MS = 500;

const [rival, measure, secondsText, warmUpText, ownCore, peerCore, pinner] = process.argv.slice(2);
const [seconds, warmUp] = [secondsText, warmUpText].map(Number);
const filename = require.resolve('./echo-task.js');

/** Each runs a function of echo-task.js in `size` processes (piscina: threads). */
const RIVALS = {
  tinypool(size, serialization) {
    const { Tinypool } = require('tinypool');
    const pool = new Tinypool({
      filename,
      runtime: 'child_process',
      minThreads: size,
      maxThreads: size,
      serialization,
      env: process.env,
    });
    return { run: (name, input) => pool.run(input, { name }), end: () => pool.destroy() };
  },
  workerpool(size, serialization) {
    const pool = require('workerpool').pool(filename, {
      workerType: 'process',
      minWorkers: size,
      maxWorkers: size,
      forkOpts: { serialization },
    });
    return { run: (name, input) => pool.exec(name, [input]), end: () => pool.terminate(true) };
  },
  piscina(size) {
    const { Piscina } = require('piscina');
    const pool = new Piscina({ filename, minThreads: size, maxThreads: size });
    return { run: (name, input) => pool.run(input, { name }), end: () => pool.destroy() };
  },
};

const MEASURES = {
  lone,
  crowd,
  kibibyte: () => payloads(1 << 10),
  kibibytes64: () => payloads(64 << 10),
  mebibyte: () => payloads(1 << 20),
  mebibytes16: () => payloads(16 << 20),
  start,
  crash,
};

main().then(
  (figures) => process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

async function main() {
  process.env.BENCH_RIVAL = rival;
  if (measure === 'lone') {
    Object.assign(process.env, { BENCH_PEER_CORE: peerCore, BENCH_PINNER: pinner });
    stayOn({ core: ownCore, pinner });
  }
  const run = MEASURES[measure];
  if (run === undefined) throw new Error(`unknown measure ${measure}`);
  return run();
}

/** The fastest serialization for numbers is JSON, and for bytes the other one. */
function pool(size, serialization = 'json') {
  return RIVALS[rival](size, serialization);
}

async function lone() {
  const tasks = pool(1);
  const times = [];
  const meter = new Meter(seconds, warmUp, LOOK_EVERY);
  for (;;) {
    const submitted = performance.now();
    check(await tasks.run('echo', VALUE));
    const time = performance.now() - submitted;
    if (meter.counting) times.push(time);
    const figure = meter.oneMore();
    if (figure !== undefined) return { figure, ...percentiles(times) };
  }
}

function crowd() {
  const tasks = pool(2);
  return inFlight(IN_FLIGHT, LOOK_EVERY, () => tasks.run('echo', VALUE).then(check));
}

async function payloads(bytes) {
  const tasks = pool(2, 'advanced');
  const payload = Buffer.alloc(bytes, 1);
  const { figure } = await inFlight(PAYLOADS_IN_FLIGHT, 1, async () => {
    const back = await tasks.run('echo', payload);
    if (back.length !== bytes) throw new Error('the payload came back shorter');
  });
  return { figure: (figure * bytes) / 1e6 };
}

/** So many at any time, until the time is over. */
function inFlight(count, lookEvery, run) {
  const meter = new Meter(seconds, warmUp, lookEvery);
  return new Promise((resolve, reject) => {
    const next = () => {
      const figure = meter.oneMore();
      if (figure === undefined) run().then(next, reject);
      else resolve({ figure });
    };
    for (let i = 0; i < count; i += 1) run().then(next, reject);
  });
}

/** From nothing to the first result of a new pool of one. */
function start() {
  return repeated(async (times) => {
    const before = performance.now();
    const tasks = pool(1);
    check(await tasks.run('echo', VALUE));
    times.push(performance.now() - before);
    await tasks.end();
  });
}

/** From SIGKILL of the only process, while it is idle, to the next result. */
async function crash() {
  const tasks = pool(1);
  return repeated(async (times) => {
    const pid = await tasks.run('pid');
    const killed = performance.now();
    process.kill(pid, 'SIGKILL');
    for (;;) {
      const error = await Promise.race([tasks.run('echo', VALUE).then(check, Error), later()]);
      if (error === undefined) break;
      if (performance.now() - killed > REPLACED_WITHIN_MS) throw new Error('it was not replaced');
    }
    times.push(performance.now() - killed);
  });
}

/** A task that was sent to a dead process may never be answered. */
function later() {
  return new Promise((resolve) => setTimeout(resolve, BETWEEN_TRIES_MS, Error('no answer')));
}

async function repeated(one) {
  const began = performance.now();
  const times = [];
  await one([]);
  while (times.length === 0 || performance.now() - began < (warmUp + seconds) * 1e3) await one(times);
  return percentiles(times);
}

function check(value) {
  if (value !== VALUE) throw new Error(`${VALUE} came back as ${value}`);
}

function percentiles(times) {
  const sorted = Float64Array.from(times).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] * 1e3;
  return { p50: at(0.5), p99: at(0.99) };
}
