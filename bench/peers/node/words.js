// What two threads do with words that they share: adds, and round trips with and without sleeping. Each side of a round
// trip writes a word of its own and waits for the other's; the words are cache lines apart.
'use strict';

const ADDED = 0;
const ASKED = 64;
const ANSWERED = 128;
const WORDS = 192;
const ADDS_BETWEEN_LOOKS = 1024;

const newWords = () => new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));

function add(words) {
  for (let i = 0; i < ADDS_BETWEEN_LOOKS; i += 1) Atomics.add(words, ADDED, 1);
}

function untilChanged(words, index, before) {
  for (;;) {
    const now = Atomics.load(words, index);
    if (now !== before) return now;
    Atomics.wait(words, index, before);
  }
}

function untilSeenToChange(words, index, before) {
  for (;;) {
    const now = Atomics.load(words, index);
    if (now !== before) return now;
  }
}

function tell(words, index, value) {
  Atomics.store(words, index, value);
  Atomics.notify(words, index, 1);
}

function askByWaiting(words) {
  const before = Atomics.load(words, ANSWERED);
  tell(words, ASKED, (before + 1) | 0);
  untilChanged(words, ANSWERED, before);
}

function answerByWaiting(words) {
  tell(words, ANSWERED, untilChanged(words, ASKED, Atomics.load(words, ANSWERED)));
}

function askBySpinning(words) {
  const before = Atomics.load(words, ANSWERED);
  Atomics.store(words, ASKED, (before + 1) | 0);
  untilSeenToChange(words, ANSWERED, before);
}

function answerBySpinning(words) {
  Atomics.store(words, ANSWERED, untilSeenToChange(words, ASKED, Atomics.load(words, ANSWERED)));
}

module.exports = {
  ADDED,
  add,
  answerBySpinning,
  answerByWaiting,
  askBySpinning,
  askByWaiting,
  newWords,
};
