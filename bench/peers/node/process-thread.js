// express + cluster + a new worker_thread for each request.
// POST /process {"numbers":[...]} answers {"result":[...]}.
'use strict';

const { Worker } = require('node:worker_threads');
const express = require('express');
const { run } = require('./cluster.js');

const onNewThread = (numbers) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(require.resolve('./heavy-work.js'), { workerData: { numbers } });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`worker thread ended with code ${code}`)));
  });

run((port) => {
  const app = express();
  app.disable('x-powered-by');
  app.use(express.json());
  app.get('/livez', (request, response) => response.send('ok'));
  app.post('/process', async (request, response) => {
    response.json({ result: await onNewThread(request.body.numbers) });
  });
  app.listen(port, '127.0.0.1');
});
