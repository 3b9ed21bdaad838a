// express + multer + sharp + cluster: an upload becomes at most 800 px wide, JPEG quality 80; the original is deleted.
// POST /upload (multipart field `image`) answers {message, resultPath}; with ?download=1 the picture itself.
// UPLOAD_DIR holds originals and results; MULTER_STORAGE=memory keeps the original out of the file system.
'use strict';

const fs = require('node:fs/promises');
const path = require('node:path');
const { randomUUID } = require('node:crypto');
const express = require('express');
const multer = require('multer');
const sharp = require('sharp');
const { run } = require('./cluster.js');

const directory = process.env.UPLOAD_DIR || 'uploads';
const inMemory = process.env.MULTER_STORAGE === 'memory';
const upload = inMemory ? multer({ storage: multer.memoryStorage() }) : multer({ dest: directory });

// Every upload is another picture: libvips' cache of operations would hold memory and never be hit.
sharp.cache(false);

const resize = (input) => sharp(input).resize({ width: 800, withoutEnlargement: true }).jpeg({ quality: 80 });

run((port) => {
  const app = express();
  app.disable('x-powered-by');

  app.get('/livez', (request, response) => response.send('ok'));

  app.post('/upload', upload.single('image'), async (request, response) => {
    const input = inMemory ? request.file.buffer : request.file.path;
    try {
      if (request.query.download) {
        response.type('image/jpeg').send(await resize(input).toBuffer());
        return;
      }
      const resultPath = path.join(directory, `resized-${randomUUID()}.jpg`);
      await resize(input).toFile(resultPath);
      response.json({ message: 'Image processed successfully!', resultPath });
    } catch (error) {
      response.status(500).json({ error: error.message });
    } finally {
      if (!inMemory) await fs.rm(input, { force: true });
    }
  });

  app.listen(port, '127.0.0.1');
});
