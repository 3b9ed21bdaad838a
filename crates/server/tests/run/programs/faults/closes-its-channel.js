// Listens, then cuts the channel to its supervisor, and lives on.
'use strict';

const http = require('node:http');

http
  .createServer((request, response) => response.end(`hello from ${process.pid}\n`))
  .listen(process.env.PORT ?? 3000, () => process.disconnect());
setInterval(() => {}, 1000);
