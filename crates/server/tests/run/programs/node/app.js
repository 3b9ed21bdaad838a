// What people write: a server that knows nothing of clusters.
'use strict';

const http = require('node:http');

http.createServer((request, response) => response.end(`hello from ${process.pid}\n`)).listen(process.env.PORT ?? 3000);
