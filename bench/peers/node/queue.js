// Queues of Node: one client process of what `bench queue` measures beside Phalanx.
// node queue.js CONTENDER URL NAME CLIENTS WARM_UP_SECONDS SECONDS says "ready", begins at the next line that it reads, prints
// one line of JSON, whose fields are those of phalanx-bench-queue's clients (bench/src/queue/tally.rs), and goes on to work for
// the other processes until its input closes.
'use strict';

const readline = require('node:readline');

const PAYLOAD_BYTES = 256;
const IN_FLIGHT = 256;
const RESULT_MILLISECONDS = 2000;

const [contender, url, name, clientsText, warmUpText, secondsText] = process.argv.slice(2);
const [clients, warmUp, seconds] = [clientsText, warmUpText, secondsText].map(Number);

/** How long things took, in microseconds of three digits: how often each. */
class Times {
  counts = new Map();

  add(milliseconds) {
    const rounded = Number((milliseconds * 1e3).toPrecision(3));
    this.counts.set(rounded, (this.counts.get(rounded) ?? 0) + 1);
  }
}

class Tally {
  cycles = 0;
  enqueue = new Times();
  cycle = new Times();

  constructor() {
    this.begins = performance.now() + warmUp * 1e3;
    this.ends = this.begins + seconds * 1e3;
    this.end = new Promise((resolve) => setTimeout(resolve, (warmUp + seconds) * 1e3));
  }

  /** Whether there is time for another one. */
  goesOn() {
    return performance.now() < this.ends;
  }

  enqueued(start) {
    const now = performance.now();
    if (this.counts(now)) this.enqueue.add(now - start);
  }

  done(start) {
    const now = performance.now();
    if (!this.counts(now)) return;
    this.cycles += 1;
    this.cycle.add(now - start);
  }

  counts(now) {
    return now >= this.begins && now < this.ends;
  }

  print() {
    const { cycles, enqueue, cycle } = this;
    const figures = { cycles, seconds, enqueue: [...enqueue.counts], cycle: [...cycle.counts] };
    process.stdout.write(`${JSON.stringify(figures)}\n`);
    process.stdin.once('end', () => process.exit(0)).resume();
  }
}

const CONTENDERS = {
  'bullmq-always': () => bullmq(redis()),
  'bullmq-memory': () => bullmq(redis()),
  'bullmq-postgres': () => {
    const { createPostgresBackend } = require('bullmq');
    return bullmqWithoutEvents({ connectionString: url, max: clients + 2, migrate: true }, createPostgresBackend);
  },
  amqplib,
};

CONTENDERS[contender]().then(
  (tally) => tally.print(),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

/** Says that it could begin, and waits until it shall. */
async function untilAllAreReady() {
  process.stdout.write('ready\n');
  const lines = readline.createInterface({ input: process.stdin });
  await new Promise((resolve) => lines.once('line', resolve));
  lines.close();
  return new Tally();
}

function redis() {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null };
}

/** A job is added, an empty function runs it, its result comes back: so many at any time in this process. */
async function bullmq(connection, backend) {
  const { Queue, QueueEvents, Worker } = require('bullmq');
  const last = backend === undefined ? [] : [backend];
  const queue = new Queue(name, { connection }, ...last);
  const events = new QueueEvents(name, { connection }, ...last);
  events.setMaxListeners(0);
  const worker = new Worker(name, async () => 'done', { connection, concurrency: clients }, ...last);
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady(), worker.waitUntilReady()]);
  const payload = { body: 'x'.repeat(PAYLOAD_BYTES) };
  const once = async (tally) => {
    const start = performance.now();
    const job = await queue.add('empty', payload);
    tally.enqueued(start);
    const result = await resultOf(job, events);
    if (result !== 'done') throw new Error(`the result is ${result}`);
    tally.done(start);
  };
  // The first of all makes the connections and the events known.
  const nobody = { enqueued() {}, done() {} };
  await once(nobody);
  return inTurn((tally) => once(tally));
}

/**
 * QueueEvents (6.7.0) are ready before they listen, and fall behind a stream that keeps 10 000 events: a job whose event was missed
 * would be waited for for ever. Each new wait begins with a look at the job itself.
 */
async function resultOf(job, events) {
  for (;;) {
    try {
      return await job.waitUntilFinished(events, RESULT_MILLISECONDS);
    } catch (error) {
      if (!error.message.includes('timed out before finishing')) throw error;
    }
  }
}

/**
 * On PostgreSQL its QueueEvents (6.7.0) lose events of jobs that end at the same time, and who waits for such a job waits for ever.
 * So a job counts when a worker of this process has recorded it, and nobody receives its result.
 */
async function bullmqWithoutEvents(connection, backend) {
  const { Queue, Worker } = require('bullmq');
  const queue = new Queue(name, { connection }, backend);
  const worker = new Worker(name, async () => 'done', { connection, concurrency: clients }, backend);
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  const body = 'x'.repeat(PAYLOAD_BYTES);
  const room = new Room(clients);
  let tally;
  // Processes do not begin to count their milliseconds together: the origin makes them comparable.
  worker.on('completed', (job) => {
    if (job.data.added === 0) return;
    room.leave();
    tally?.done(job.data.added - performance.timeOrigin);
  });
  // The first of all makes the connections.
  await queue.add('empty', { body, added: 0 });
  return inTurn(async (counting) => {
    tally = counting;
    await Promise.race([room.enter(), counting.end]);
    if (!counting.goesOn()) return;
    const start = performance.now();
    await queue.add('empty', { body, added: start + performance.timeOrigin });
    counting.enqueued(start);
  });
}

/** Persistent messages with confirms into a quorum queue, and acknowledgements of what comes out. */
async function amqplib() {
  const { connect } = require('amqplib');
  const connection = await connect(url);
  const sending = await connection.createConfirmChannel();
  const consuming = await connection.createChannel();
  await sending.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await consuming.prefetch(IN_FLIGHT);
  const room = new Room(IN_FLIGHT);
  let tally;
  await consuming.consume(name, (message) => {
    consuming.ack(message);
    room.leave();
    tally?.done(message.properties.timestamp);
  });
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x');
  const send = (timestamp) =>
    new Promise((resolve, reject) => {
      const options = { persistent: true, timestamp };
      sending.sendToQueue(name, payload, options, (error) => (error ? reject(error) : resolve()));
    });
  const result = await inTurn(async (counting) => {
    tally = counting;
    await room.enter();
    const start = performance.now();
    await send(Math.trunc(start));
    counting.enqueued(start);
  });
  await sending.deleteQueue(name);
  return result;
}

/** At most so many are inside. */
class Room {
  waiting = [];

  constructor(places) {
    this.places = places;
  }

  enter() {
    if (this.places > 0) {
      this.places -= 1;
      return undefined;
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  leave() {
    const next = this.waiting.shift();
    if (next === undefined) this.places += 1;
    else next();
  }
}

/** Each client does it again and again, until the time is over. */
async function inTurn(once) {
  const tally = await untilAllAreReady();
  const client = async () => {
    while (tally.goesOn()) await once(tally);
  };
  await Promise.all(Array.from({ length: clients }, client));
  return tally;
}
