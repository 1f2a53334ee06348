// The only file that reads a clock.
//
// - `steady()` never jumps: delays and ages are measured with it.
// - Wall time comes from the centre: the watch keeps the distance between its clock and ours.

/** Milliseconds that never jump. */
export function steady(): number {
  return performance.now();
}

/** The centre's wall clock, kept by what it last said. */
export class CentreClock {
  #distance: number | null = null;

  /** The centre said that it is `serverMs` now. */
  set(serverMs: number): void {
    this.#distance = serverMs - steady();
  }

  /** The centre's time; this computer's own while the centre has not spoken. */
  now(): number {
    return this.#distance === null ? Date.now() : steady() + this.#distance;
  }
}
