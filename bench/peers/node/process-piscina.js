// express + cluster + piscina: each worker process keeps a pool of threads, POOL_THREADS of them (default: one per core).
// POST /process {"numbers":[...]} answers {"result":[...]}.
'use strict';

const os = require('node:os');
const express = require('express');
const { Piscina } = require('piscina');
const { run } = require('./cluster.js');

run((port) => {
  const threads = Number(process.env.POOL_THREADS) || os.availableParallelism();
  const pool = new Piscina({ filename: require.resolve('./heavy-work.js'), minThreads: threads, maxThreads: threads });
  const app = express();
  app.disable('x-powered-by');
  app.use(express.json());
  app.get('/livez', (request, response) => response.send('ok'));
  app.post('/process', async (request, response) => {
    response.json({ result: await pool.run(request.body.numbers) });
  });
  app.listen(port, '127.0.0.1');
});
