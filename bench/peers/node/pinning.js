// Threads that stay on a core. Node cannot do this by itself: a program of the bench does it for the thread that asks.
'use strict';

const { execFileSync } = require('node:child_process');
const { readlinkSync } = require('node:fs');

/** Keeps the calling thread on `core`; `pinner` is phalanx-bench-thread. */
function stayOn({ core, pinner }) {
  const thread = readlinkSync('/proc/thread-self').split('/').at(-1);
  execFileSync(pinner, ['pin-thread', String(core), thread], { stdio: 'ignore' });
}

module.exports = { stayOn };
