// How long the service took to answer this page, milliseconds as it reports them.

const KEPT = 200;

class Timings extends EventTarget {
  values = [];

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
