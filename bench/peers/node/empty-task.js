// What piscina's thread runs for `bench thread`: nothing, on its own core.
'use strict';

const { workerData } = require('node:worker_threads');
const { stayOn } = require('./pinning.js');

stayOn(workerData);

module.exports = () => {};
