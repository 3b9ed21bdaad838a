// What people write: one server that knows nothing of clusters. `/` is constant; every other path comes back with the pid,
// so that a client knows whether the answer is its own.
'use strict';

const http = require('node:http');

http
  .createServer((request, response) => {
    response.setHeader('content-type', 'text/plain');
    response.end(request.url === '/' ? 'Hello, world!' : `${request.url} ${process.pid}`);
  })
  .listen(Number(process.env.PORT));
