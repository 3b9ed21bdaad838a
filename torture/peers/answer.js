// One worker: answers who it is; on SIGINT or SIGTERM it finishes what it has and ends.
'use strict';

const http = require('node:http');

/** Listens on 127.0.0.1:`port`; calls `ready` when it does. */
function serve(port, ready) {
  const server = http.createServer((request, response) => {
    const id = /[?&]id=([^&]*)/.exec(request.url)?.[1] ?? '';
    const body = `${id} ${process.pid} 0`;
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  });
  server.listen(port, '127.0.0.1', ready);
  const leave = () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  };
  process.on('SIGINT', leave);
  process.on('SIGTERM', leave);
  return leave;
}

module.exports = { serve };
