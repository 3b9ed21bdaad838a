// sharp without a server: what `bench image` measures beside Phalanx.
// node image.js FILE WIDTH jpeg|png|webp THREADS SECONDS OUTPUT   (UV_THREADPOOL_SIZE is to be THREADS)
'use strict';

const fs = require('node:fs');
const sharp = require('sharp');

const WARM_UP_MS = 60;
const FEWEST = 3;
const QUALITY = 80;

const [file, width, to, threads, seconds, output] = process.argv.slice(2);
const source = fs.readFileSync(file);

// Every upload is another picture: libvips' cache of operations would hold memory and never be hit.
sharp.cache(false);
// One picture is one thread's work, as with Phalanx.
sharp.concurrency(1);

const options = to === 'png' ? {} : { quality: QUALITY };
const once = () =>
  sharp(source)
    .resize({ width: Number(width), withoutEnlargement: true })
    [to](options)
    .toBuffer();

const cpuOf = ({ user, system }) => (user + system) / 1000;
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function repeat(until, fewest, cpu, wall) {
  for (let done = 0; done < fewest || performance.now() < until; done += 1) {
    const [before, began] = [process.cpuUsage(), performance.now()];
    await once();
    wall.push(performance.now() - began);
    cpu.push(cpuOf(process.cpuUsage(before)));
  }
}

async function main() {
  const picture = await once();
  await repeat(performance.now() + WARM_UP_MS, 1, [], []);
  const [cpu, wall] = [[], []];
  const [before, began] = [process.cpuUsage(), performance.now()];
  const lanes = Array.from({ length: Number(threads) }, () => repeat(began + Number(seconds) * 1000, FEWEST, cpu, wall));
  await Promise.all(lanes);
  const perSecond = (wall.length / (performance.now() - began)) * 1000;
  const perPicture = cpuOf(process.cpuUsage(before)) / wall.length;
  const peak = /VmHWM:\s*(\d+) kB/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1] * 1024;
  if (output) fs.writeFileSync(output, picture);
  console.log(
    JSON.stringify({
      // With several at once the time of one cannot be told from that of the others.
      cpu: lanes.length === 1 ? median(cpu) : perPicture,
      wall: median(wall),
      per_second: perSecond,
      bytes: picture.length,
      peak,
    }),
  );
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
