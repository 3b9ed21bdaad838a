// The other thread of what `bench thread` measures in Node (thread.js): what it does is in its workerData.
'use strict';

const { parentPort, workerData } = require('node:worker_threads');
const { stayOn } = require('./pinning.js');
const { add, answerBySpinning, answerByWaiting } = require('./words.js');

const { duty, words, place } = workerData;
if (place) stayOn(place);

switch (duty) {
  case 'greet':
    parentPort.postMessage('first');
    // Listens, and so lives until it is terminated.
    parentPort.on('message', () => {});
    break;
  case 'return-value':
    parentPort.on('message', (value) => parentPort.postMessage(value));
    parentPort.postMessage('ready');
    break;
  case 'return-buffer':
    parentPort.on('message', (buffer) => parentPort.postMessage(buffer, [buffer]));
    parentPort.postMessage('ready');
    break;
  case 'add':
    parentPort.postMessage('ready');
    for (;;) add(words);
  case 'wait':
    parentPort.postMessage('ready');
    for (;;) answerByWaiting(words);
  case 'spin':
    parentPort.postMessage('ready');
    for (;;) answerBySpinning(words);
  default:
    throw new Error(`unknown duty ${duty}`);
}
