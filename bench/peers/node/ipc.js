// Two Node processes joined by child_process.fork: what `bench ipc` measures beside Phalanx.
// node ipc.js drive SERIALIZATION MEASURE SECONDS WARM_UP_SECONDS PEER_CORE PINNER
// starts `node ipc.js peer MEASURE` on PEER_CORE and prints one line of JSON: {"figure":…,"messages":…}.
'use strict';

const { fork } = require('node:child_process');
const { Meter } = require('./meter.js');

const UNACCEPTED_AT_MOST = 256;
const UNREAD_MESSAGES = 100_000;
const LOOK_EVERY = { 'ping-pong': 64, 'one-way': 256, payload: 1 };
const PAYLOAD_BYTES = 1 << 20;

const small = (id) => ({ id, kind: 7, name: 'job.run', values: [1, 2, 3, 4], flag: true });
const record = (id) => ({ id, text: 'x'.repeat(1024) });

function peer(measure) {
  switch (measure) {
    case 'ping-pong':
      process.on('message', (message) => process.send(message));
      break;
    case 'one-way':
      process.once('message', () => flood(record));
      break;
    case 'payload': {
      const payload = Buffer.alloc(PAYLOAD_BYTES, 1);
      process.once('message', () => flood(() => payload, 4));
      break;
    }
    case 'unread':
      process.on('message', () => {});
      break;
  }
  process.on('disconnect', () => process.exit(0));
}

/** Sends without end; at most `outstanding` messages that the kernel has not accepted yet. */
function flood(make, outstanding = UNACCEPTED_AT_MOST) {
  let id = 0;
  const next = (error) => {
    if (!error) process.send(make((id += 1)), next);
  };
  for (let i = 0; i < outstanding; i += 1) next();
}

function drive(serialization, measure, seconds, warmUp, peerCore, pinner) {
  const child = fork(__filename, ['peer', measure], {
    serialization,
    execPath: pinner,
    execArgv: ['pin', peerCore, process.execPath],
  });
  child.on('exit', (code) => {
    console.error(`the peer ended early, with ${code}`);
    process.exit(1);
  });
  if (measure === 'unread') {
    unread(child);
    return;
  }
  const meter = new Meter(Number(seconds), Number(warmUp), LOOK_EVERY[measure]);
  let sum = 0;
  child.on('message', (message) => {
    if (measure === 'payload') sum = sumOfWords(message);
    const figure = meter.oneMore();
    if (figure !== undefined) {
      if (measure === 'payload' && sum === 0) throw new Error('the payload came empty');
      report(child, figure, meter.messages);
    } else if (measure === 'ping-pong') {
      child.send(message);
    }
  });
  child.send(small(1));
}

/** How far the memory of this process grows while the peer is stopped. */
function unread(child) {
  child.kill('SIGSTOP');
  const before = process.memoryUsage().rss;
  for (let id = 0; id < UNREAD_MESSAGES; id += 1) child.send(record(id), () => {});
  setImmediate(() => report(child, (process.memoryUsage().rss - before) / (1 << 20), UNREAD_MESSAGES));
}

function report(child, figure, messages) {
  process.stdout.write(`${JSON.stringify({ figure, messages })}\n`, () => {
    child.removeAllListeners('exit');
    child.on('exit', () => process.exit(0));
    child.kill('SIGKILL');
  });
}

/** Reads every byte. In json a Buffer arrives as {type, data}: then the numbers of `data`. */
function sumOfWords(message) {
  let sum = 0;
  if (!Buffer.isBuffer(message)) {
    for (const byte of message.data) sum += byte;
    return sum;
  }
  const skipped = (8 - (message.byteOffset % 8)) % 8;
  const words = new Float64Array(message.buffer, message.byteOffset + skipped, (message.length - skipped) >> 3);
  for (let i = 0; i < words.length; i += 1) sum += words[i];
  return sum;
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'peer') peer(...rest);
else drive(...rest);
