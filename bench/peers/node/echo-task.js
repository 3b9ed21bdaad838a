// What the pools of task.js run: what comes in goes out. Pinned to BENCH_PEER_CORE if that is set.
'use strict';

const { stayOn } = require('./pinning.js');

const { BENCH_PEER_CORE, BENCH_PINNER } = process.env;
if (BENCH_PEER_CORE) stayOn({ core: BENCH_PEER_CORE, pinner: BENCH_PINNER });

const functions = { echo: (input) => input, pid: () => process.pid };

module.exports = functions;

if (process.env.BENCH_RIVAL === 'workerpool') require('workerpool').worker(functions);
