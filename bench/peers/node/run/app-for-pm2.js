// The same server with what PM2's documentation asks for: it says when it is ready, and on SIGINT it finishes what it has.
'use strict';

const http = require('node:http');

const server = http
  .createServer((request, response) => {
    response.setHeader('content-type', 'text/plain');
    response.end(request.url === '/' ? 'Hello, world!' : `${request.url} ${process.pid}`);
  })
  .listen(Number(process.env.PORT), () => process.send?.('ready'));

process.on('SIGINT', () => server.close(() => process.exit(0)));
