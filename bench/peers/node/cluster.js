// One worker process per core behind one port, as Node's own documentation shows it.
// Every server of this folder takes PORT and WORKERS from the environment and listens on 127.0.0.1.
'use strict';

const cluster = require('node:cluster');
const os = require('node:os');

const port = Number(process.env.PORT);
const workers = Number(process.env.WORKERS) || os.availableParallelism();

/** Forks the workers in the primary; calls `startServer(port)` in each of them. A dead worker is replaced. */
function run(startServer) {
  if (!cluster.isPrimary) {
    startServer(port);
    return;
  }
  for (let i = 0; i < workers; i += 1) cluster.fork();
  let ending = false;
  cluster.on('exit', () => {
    if (!ending) cluster.fork();
  });
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      ending = true;
      for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
      process.exit(0);
    });
  }
}

module.exports = { run };
