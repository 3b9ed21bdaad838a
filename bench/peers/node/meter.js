// When a measurement begins to count, and when it is over: for all programs here that measure by themselves.
'use strict';

/** Counts, after a time to warm up, for `seconds`; looks at the clock every `lookEvery` messages. */
class Meter {
  constructor(seconds, warmUp, lookEvery) {
    this.messages = 0;
    this.lookEvery = lookEvery;
    this.seconds = seconds;
    this.warmUp = warmUp;
    this.start = performance.now() + warmUp * 1e3;
    this.counting = false;
  }

  /** The messages a second once the time is over; undefined before. */
  oneMore() {
    this.messages += 1;
    if (this.messages % this.lookEvery !== 0) return undefined;
    const now = performance.now();
    if (!this.counting) {
      if (now >= this.start) {
        this.counting = true;
        this.start = now;
        this.messages = 0;
      }
      return undefined;
    }
    const elapsed = (now - this.start) / 1e3;
    return elapsed >= this.seconds ? this.messages / elapsed : undefined;
  }
}

module.exports = { Meter };
