// The same server under node:cluster, as Node's documentation shows it: a worker that ends is replaced.
'use strict';

const cluster = require('node:cluster');

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.WORKERS); i += 1) cluster.fork();
  cluster.on('exit', () => cluster.fork());
} else {
  require('./app.js');
}
