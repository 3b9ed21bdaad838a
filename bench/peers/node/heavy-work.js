// The tutorial's CPU work, and both ways to run it off the event loop: the entry of a new worker_thread, and a piscina task.
'use strict';

const { parentPort, workerData, isMainThread } = require('node:worker_threads');

const ROUNDS = 1_000_000;

function heavyWork(number) {
  let result = number;
  for (let i = 0; i < ROUNDS; i += 1) result = (result * 17 + 13) % 99991;
  return result;
}

if (!isMainThread && Array.isArray(workerData?.numbers)) parentPort.postMessage(workerData.numbers.map(heavyWork));

module.exports = (numbers) => numbers.map(heavyWork);
