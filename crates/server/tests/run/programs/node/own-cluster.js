// An app that brings its own primary: it forks workers, and replaces them. Under `phalanx run` only the worker's half runs.
'use strict';

const cluster = require('node:cluster');
const http = require('node:http');

if (cluster.isPrimary) {
  console.log(`primary ${process.pid}`);
  for (let i = 0; i < 2; i += 1) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  console.log(`worker ${cluster.worker.id}`);
  http.createServer((request, response) => response.end(`hello from ${process.pid}\n`)).listen(process.env.PORT ?? 3000);
}
