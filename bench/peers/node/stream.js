// Node's streams: what `bench stream` measures beside Phalanx.
// node stream.js upper|upper-256|gzip INPUT OUTPUT
'use strict';

const fs = require('node:fs');
const { Transform } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const zlib = require('node:zlib');

const BUFFER = 256 * 1024;
const LEVEL = 6;

const [transform, input, output] = process.argv.slice(2);

// As tutorials have it.
const upper = () =>
  new Transform({
    transform(chunk, _encoding, done) {
      done(null, chunk.toString('latin1').toUpperCase());
    },
    defaultEncoding: 'latin1',
  });

// Without strings, by larger pieces.
const upperInPlace = () =>
  new Transform({
    highWaterMark: BUFFER,
    transform(chunk, _encoding, done) {
      for (let i = 0; i < chunk.length; i += 1) {
        const byte = chunk[i];
        if (byte >= 97 && byte <= 122) chunk[i] = byte - 32;
      }
      done(null, chunk);
    },
  });

const ways = {
  upper: () => [fs.createReadStream(input), upper(), fs.createWriteStream(output)],
  'upper-256': () => [
    fs.createReadStream(input, { highWaterMark: BUFFER }),
    upperInPlace(),
    fs.createWriteStream(output, { highWaterMark: BUFFER }),
  ],
  gzip: () => [fs.createReadStream(input), zlib.createGzip({ level: LEVEL }), fs.createWriteStream(output)],
};

pipeline(...ways[transform]()).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
