// Listens and serves, and sends messages as fast as it can.
'use strict';

const http = require('node:http');

http.createServer((request, response) => response.end(`hello from ${process.pid}\n`)).listen(process.env.PORT ?? 3000);

const message = { filler: 'x'.repeat(1000) };
function flood() {
  for (let i = 0; i < 100; i += 1) process.send(message);
  setImmediate(flood);
}
flood();
