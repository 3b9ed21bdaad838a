// Threads of one Node process: what `bench thread` measures beside Phalanx.
// node thread.js MEASURE SECONDS WARM_UP_SECONDS CYCLES OWN_CORE PEER_CORE PINNER prints one line of JSON, whose
// fields are those of phalanx-bench-thread.
'use strict';

const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const { Worker } = require('node:worker_threads');
const { Meter } = require('./meter.js');
const { stayOn } = require('./pinning.js');
const { ADDED, add, askBySpinning, askByWaiting, newWords } = require('./words.js');

const IN_FLIGHT = 64;
const ALIVE = 50;
const CYCLES_BEFORE = 100;
const LOOK_EVERY = 64;
const MEBIBYTE = 1 << 20;

const [measure, secondsText, warmUpText, cyclesText, ownCore, peerCore, pinner] = process.argv.slice(2);
const [seconds, warmUp, cycles] = [secondsText, warmUpText, cyclesText].map(Number);

const MEASURES = {
  'pool-lone': poolLone,
  'pool-crowd': () => poolCrowd(1),
  'pool-crowd-many': () => poolCrowd(IN_FLIGHT),
  'worker-start': workerStart,
  'worker-memory': workerMemory,
  'worker-cycles': workerCycles,
  'port-value': () => roundTrips('return-value', (worker, value) => worker.postMessage(value), 7),
  'port-eight': () => roundTrips('return-buffer', moved, new ArrayBuffer(8)),
  'port-mebibyte': () => roundTrips('return-buffer', moved, new ArrayBuffer(MEBIBYTE)),
  add: adds,
  wait: () => shared('wait', askByWaiting),
  spin: () => shared('spin', askBySpinning),
};

main().then(
  (figures) => process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

async function main() {
  if (!measure.startsWith('worker-')) stayOn({ core: ownCore, pinner });
  const run = MEASURES[measure];
  if (run === undefined) throw new Error(`unknown measure ${measure}`);
  return run();
}

function pool(concurrentTasksPerWorker) {
  const { Piscina } = require('piscina');
  return new Piscina({
    filename: require.resolve('./empty-task.js'),
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker,
    workerData: { core: peerCore, pinner },
  });
}

/** One empty task after the other. */
async function poolLone() {
  const tasks = pool(1);
  const times = [];
  const meter = new Meter(seconds, warmUp, 1);
  for (;;) {
    const submitted = performance.now();
    await tasks.run(null);
    const time = performance.now() - submitted;
    if (meter.counting) times.push(time);
    const figure = meter.oneMore();
    if (figure !== undefined) return { figure, ...percentiles(times) };
  }
}

/** 64 empty tasks at any time; piscina gives its thread one at a time unless it is told to give it more. */
async function poolCrowd(concurrentTasksPerWorker) {
  const tasks = pool(concurrentTasksPerWorker);
  const meter = new Meter(seconds, warmUp, LOOK_EVERY);
  return new Promise((resolve, reject) => {
    const next = () => {
      const figure = meter.oneMore();
      if (figure === undefined) tasks.run(null).then(next, reject);
      else resolve({ figure });
    };
    for (let i = 0; i < IN_FLIGHT; i += 1) tasks.run(null).then(next, reject);
  });
}

/** A worker that has said its first word. */
async function started(place) {
  const worker = new Worker(require.resolve('./thread-peer.js'), { workerData: { duty: 'greet', place } });
  worker.on('error', fail);
  await once(worker, 'message');
  return worker;
}

/** Nobody is pinned here: to pin the worker would be part of starting it. */
async function workerStart() {
  const times = [];
  const began = performance.now();
  let counting = began;
  for (;;) {
    const start = performance.now();
    const worker = await started();
    const now = performance.now();
    if (counting === began && start - began >= warmUp * 1e3) counting = start;
    if (counting !== began) times.push(now - start);
    await worker.terminate();
    if (counting !== began && now - counting >= seconds * 1e3) return percentiles(times);
  }
}

async function workerMemory() {
  await (await started()).terminate();
  const before = residentKibibytes();
  const alive = [];
  for (let i = 0; i < ALIVE; i += 1) alive.push(await started());
  return { figure: (residentKibibytes() - before) / alive.length };
}

async function workerCycles() {
  for (let i = 0; i < CYCLES_BEFORE; i += 1) await (await started()).terminate();
  const before = residentKibibytes();
  const began = performance.now();
  for (let i = 0; i < cycles; i += 1) await (await started()).terminate();
  const elapsed = (performance.now() - began) / 1e3;
  return { figure: residentKibibytes() - before, before, per_second: cycles / elapsed };
}

/** A worker on its own core that does `duty` from its first word on. */
async function atWork(duty, words) {
  const place = { core: peerCore, pinner };
  const worker = new Worker(require.resolve('./thread-peer.js'), { workerData: { duty, words, place } });
  worker.on('error', fail);
  await once(worker, 'message');
  return worker;
}

function moved(worker, buffer) {
  worker.postMessage(buffer, [buffer]);
}

async function roundTrips(duty, post, first) {
  const worker = await atWork(duty);
  const meter = new Meter(seconds, warmUp, LOOK_EVERY);
  return new Promise((resolve) => {
    worker.on('message', (message) => {
      const figure = meter.oneMore();
      if (figure === undefined) post(worker, message);
      else resolve({ figure });
    });
    post(worker, first);
  });
}

async function shared(duty, ask) {
  const words = newWords();
  await atWork(duty, words);
  const meter = new Meter(seconds, warmUp, LOOK_EVERY);
  for (;;) {
    ask(words);
    const figure = meter.oneMore();
    if (figure !== undefined) return { figure };
  }
}

/** Both threads add; what counts is by how much the word grows. */
async function adds() {
  const words = newWords();
  await atWork('add', words);
  let [before, sum, begins, counting] = [0, 0, performance.now() + warmUp * 1e3, false];
  for (;;) {
    add(words);
    const now = Atomics.load(words, ADDED);
    sum += (now - before) >>> 0;
    before = now;
    const time = performance.now();
    if (!counting) {
      if (time >= begins) [counting, begins, sum] = [true, time, 0];
    } else if (time - begins >= seconds * 1e3) {
      return { figure: sum / ((time - begins) / 1e3) };
    }
  }
}

function percentiles(times) {
  const sorted = Float64Array.from(times).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] * 1e3;
  return { p50: at(0.5), p99: at(0.99) };
}

function residentKibibytes() {
  const line = readFileSync('/proc/self/smaps_rollup', 'latin1').match(/^Rss:\s+(\d+) kB$/m);
  return Number(line[1]);
}

function fail(error) {
  console.error(error);
  process.exit(1);
}
