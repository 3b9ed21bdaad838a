// node:cluster + node:http, a constant answer. NODE_CLUSTER_SCHED_POLICY=none|rr chooses who accepts.
'use strict';

const http = require('node:http');
const { run } = require('./cluster.js');

const BODY = 'Hello, world!';

run((port) => {
  http
    .createServer((request, response) => {
      response.setHeader('content-type', 'text/plain');
      response.end(BODY);
    })
    .listen(port, '127.0.0.1');
});
