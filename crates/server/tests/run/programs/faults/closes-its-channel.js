// Serves for a moment, then cuts the channel to its supervisor. Node ends a cluster's worker whose channel is gone.
'use strict';

const http = require('node:http');

http.createServer((request, response) => response.end(`hello from ${process.pid}\n`)).listen(process.env.PORT ?? 3000);

setTimeout(() => process.disconnect(), 1500);
