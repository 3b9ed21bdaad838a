// node:cluster by hand, with care: dead workers are replaced at once; SIGHUP replaces them one by one, new first.
'use strict';

const cluster = require('node:cluster');
const { serve } = require('./answer.js');

const WORKERS = 2;
/** A worker that was told to leave gets this long, in milliseconds. */
const DRAIN = 10_000;

function start() {
  const worker = cluster.fork();
  worker.on('exit', () => {
    if (!worker.isReplaced) start();
  });
  return worker;
}

async function reload() {
  for (const old of Object.values(cluster.workers)) {
    if (old.isReplaced) continue;
    const successor = start();
    await new Promise((resolve) => successor.once('listening', resolve));
    old.isReplaced = true;
    old.disconnect();
    const end = setTimeout(() => old.process.kill('SIGKILL'), DRAIN);
    old.once('exit', () => clearTimeout(end));
  }
}

if (cluster.isPrimary) {
  for (let i = 0; i < WORKERS; i += 1) start();
  process.on('SIGHUP', () => void reload());
} else {
  serve(Number(process.env.PORT));
}
