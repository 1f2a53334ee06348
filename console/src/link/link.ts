// The link to the centre: snapshot, then stream from where the snapshot ends, and a watchdog.
//
// - `EventSource` does not notice a half-open link. The centre sends something at least every 5 s,
//   so silence is the proof of a broken link.
// - Broken is said at once when the stream ends and does not come back in `GRACE_MS`.
// - Only an event from a new stream, after a new snapshot, makes the link live again.
import type { Desk } from '../door/desk';
import { WrongShape } from '../door/shape';
import { streamEvent, type EventName, type StreamEvent } from '../door/stream';

/** Silence that breaks the link. The page owes its word within 10 s; one second is left for a slow
 * timer and for painting. A ping comes every 5 s. */
export const SILENCE_MAX_MS = 9_000;

/** A stream that ends and comes back sooner than this was no break. */
const GRACE_MS = 1_500;

/** How often the silence is measured. */
const WATCH_EVERY_MS = 250;

/** Pause before the next attempt: first, and at most. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 4_000;

export type LinkState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'live' }
  /** `since`: when something was last heard, on the steady clock. */
  | { readonly kind: 'broken'; readonly since: number; readonly why: string };

/** An open stream. */
export interface Stream {
  close(): void;
}

/** What a stream tells. */
export interface StreamEar {
  opened(): void;
  heard(name: EventName, data: string): void;
  ended(): void;
}

/** The link's connections to the world. */
export interface Wires {
  readDesk(): Promise<Desk>;
  openStream(after: number, ear: StreamEar): Stream;
  steady(): number;
  /** A failure in words for the screen. */
  why(error: unknown): string;
}

/** Who listens to the link. */
export interface LinkEar {
  desk(desk: Desk): void;
  event(event: StreamEvent): void;
  misread(why: string): void;
  state(state: LinkState): void;
}

type Phase =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'reading'; readonly attempt: number }
  | { readonly kind: 'listening'; readonly stream: Stream; readonly since: number; readonly attempt: number }
  | { readonly kind: 'pausing'; readonly timer: ReturnType<typeof setTimeout>; readonly attempt: number };

export class Link {
  #phase: Phase = { kind: 'stopped' };
  #state: LinkState = { kind: 'starting' };
  #lastHeard: number;
  #endedAt: number | null = null;
  #why = '';
  /** Tells a late answer of an old attempt from the answer of this one. */
  #turn = 0;
  #watch: ReturnType<typeof setInterval> | null = null;

  constructor(
    private readonly wires: Wires,
    private readonly ear: LinkEar,
  ) {
    this.#lastHeard = wires.steady();
  }

  start(): void {
    this.#lastHeard = this.wires.steady();
    this.#watch = setInterval(() => this.check(), WATCH_EVERY_MS);
    this.#read(0);
  }

  stop(): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#leave();
    this.#phase = { kind: 'stopped' };
  }

  /** Begins again from a snapshot, without calling the link broken. After a pause, so that a centre
   * which always asks for this is not flooded. */
  reload(): void {
    if (this.#phase.kind !== 'listening') return;
    this.#leave();
    this.#pause(1);
  }

  /** Measures the silence. Called by the timer, and when a sleeping page wakes. */
  check(): void {
    const now = this.wires.steady();
    const silent = now - this.#lastHeard >= SILENCE_MAX_MS;
    const lost = this.#endedAt !== null && now - this.#endedAt >= GRACE_MS;
    if (silent || lost) this.#say({ kind: 'broken', since: this.#lastHeard, why: this.#why });
    const phase = this.#phase;
    if (phase.kind === 'listening' && silent && now - phase.since >= SILENCE_MAX_MS) {
      this.#leave();
      this.#read(phase.attempt);
    }
  }

  #read(attempt: number): void {
    this.#turn += 1;
    const turn = this.#turn;
    this.#phase = { kind: 'reading', attempt };
    this.wires.readDesk().then(
      (desk) => {
        if (turn === this.#turn && this.#phase.kind === 'reading') this.#listen(desk, attempt);
      },
      (error: unknown) => {
        if (turn === this.#turn && this.#phase.kind === 'reading') this.#failed(error, attempt);
      },
    );
  }

  #failed(error: unknown, attempt: number): void {
    this.#why = this.wires.why(error);
    if (this.#endedAt === null) this.#endedAt = this.wires.steady();
    this.#pause(attempt + 1);
  }

  #listen(desk: Desk, attempt: number): void {
    this.#turn += 1;
    const turn = this.#turn;
    this.ear.desk(desk);
    const own = (act: () => void): void => {
      if (turn === this.#turn && this.#phase.kind === 'listening') act();
    };
    const stream = this.wires.openStream(desk.seq, {
      opened: () => own(() => this.#hear()),
      heard: (name, data) => own(() => this.#event(name, data)),
      ended: () => own(() => this.#ended(attempt)),
    });
    this.#phase = { kind: 'listening', stream, since: this.wires.steady(), attempt };
  }

  #hear(): void {
    this.#lastHeard = this.wires.steady();
    this.#endedAt = null;
    this.#why = '';
    if (this.#phase.kind === 'listening') this.#phase = { ...this.#phase, attempt: 0 };
    this.#say({ kind: 'live' });
  }

  #event(name: EventName, data: string): void {
    this.#hear();
    let event: StreamEvent;
    try {
      event = streamEvent(name, data);
    } catch (error) {
      if (!(error instanceof WrongShape)) throw error;
      this.ear.misread(error.message);
      return;
    }
    this.ear.event(event);
  }

  #ended(attempt: number): void {
    if (this.#endedAt === null) this.#endedAt = this.wires.steady();
    this.#leave();
    this.#pause(attempt + 1);
  }

  #pause(attempt: number): void {
    const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt - 1, 5));
    const timer = setTimeout(() => this.#read(attempt), wait);
    this.#phase = { kind: 'pausing', timer, attempt };
  }

  #leave(): void {
    this.#turn += 1;
    if (this.#phase.kind === 'listening') this.#phase.stream.close();
    if (this.#phase.kind === 'pausing') clearTimeout(this.#phase.timer);
  }

  #say(state: LinkState): void {
    const before = this.#state;
    if (state.kind === 'broken' && before.kind === 'broken' && state.why === before.why) return;
    if (state.kind !== 'broken' && state.kind === before.kind) return;
    this.#state = state;
    this.ear.state(state);
  }
}
