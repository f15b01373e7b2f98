// @ts-check
// How long the service took to choose each list of this page, in milliseconds, as its answers report.

/** Maximum number of timings that are kept. */
const KEPT = 200;

class Timings extends EventTarget {
  /** @type {number[]} */
  values = [];

  /** @param {number} milliseconds */
  add(milliseconds) {
    if (!Number.isFinite(milliseconds)) return;
    this.values = [...this.values, milliseconds].slice(-KEPT);
    this.dispatchEvent(new Event("change"));
  }

  get last() {
    return this.values.at(-1);
  }
}

export const timings = new Timings();
