// Listens at once, but serves only after it has warmed up, and says so. WARM_UP is in milliseconds.
'use strict';

const http = require('node:http');

let warm = false;
http
  .createServer((request, response) => {
    response.statusCode = warm ? 200 : 503;
    response.end(`hello from ${process.pid}\n`);
  })
  .listen(process.env.PORT ?? 3000);

setTimeout(() => {
  warm = true;
  process.send?.('ready');
}, Number(process.env.WARM_UP ?? 100));
