// The horn: plays patterns with Web Audio, no files.
//
// - `blocked` means that the browser refuses sound until somebody touches the page; the desk then
//   shows a bar over its whole width.
// - `play` repeats a pattern until another one, or none, is wanted; what is in the air is cut off.
import type { Pattern } from './pattern';

export type HornState = 'sounding_allowed' | 'blocked' | 'absent';

/** Of full scale. */
const LOUDNESS = 0.5;

/** Rise and fall of a pulse, so that it does not click. */
const EDGE_S = 0.01;

export class Horn {
  #audio: AudioContext | null = null;
  #wanted: Pattern | null = null;
  #lastPlayed = -Infinity;
  #air: GainNode | null = null;

  constructor(
    private readonly steady: () => number,
    private readonly changed: (state: HornState) => void,
  ) {}

  /** Opens the audio device. Allowed at once in a kiosk, otherwise after the first touch. */
  open(): void {
    try {
      this.#audio = new AudioContext();
      this.#audio.onstatechange = () => this.changed(this.state());
    } catch {
      this.#audio = null;
    }
    this.changed(this.state());
  }

  state(): HornState {
    if (this.#audio === null) return 'absent';
    return this.#audio.state === 'running' ? 'sounding_allowed' : 'blocked';
  }

  /** A person touched the page: ask again. */
  resume(): void {
    const audio = this.#audio;
    if (audio === null || audio.state === 'running') return;
    audio.resume().then(
      () => this.changed(this.state()),
      () => this.changed(this.state()),
    );
  }

  /** What repeats from now on. */
  want(pattern: Pattern | null): void {
    if (pattern?.name === this.#wanted?.name) return;
    this.#wanted = pattern;
    this.#silence();
    this.#lastPlayed = -Infinity;
    this.tick();
  }

  /** Called several times a second: repeats the wanted pattern when it is due. */
  tick(): void {
    const pattern = this.#wanted;
    if (pattern === null || pattern.everyMs === null || this.state() !== 'sounding_allowed') return;
    const now = this.steady();
    if (now - this.#lastPlayed < pattern.everyMs) return;
    this.#lastPlayed = now;
    this.#silence();
    this.#air = this.#play(pattern);
  }

  /** Plays a pattern once, beside what repeats. */
  once(pattern: Pattern): void {
    if (this.state() === 'sounding_allowed') this.#play(pattern);
  }

  #play(pattern: Pattern): GainNode | null {
    const audio = this.#audio;
    if (audio === null) return null;
    const air = audio.createGain();
    air.connect(audio.destination);
    const start = audio.currentTime + 0.02;
    for (const pulse of pattern.pulses) {
      const tone = audio.createOscillator();
      const shape = audio.createGain();
      const from = start + pulse.at;
      const to = from + pulse.seconds;
      tone.type = 'triangle';
      tone.frequency.value = pulse.hz;
      shape.gain.setValueAtTime(0, from);
      shape.gain.linearRampToValueAtTime(LOUDNESS, from + EDGE_S);
      shape.gain.setValueAtTime(LOUDNESS, to - EDGE_S);
      shape.gain.linearRampToValueAtTime(0, to);
      tone.connect(shape);
      shape.connect(air);
      tone.start(from);
      tone.stop(to);
    }
    return air;
  }

  #silence(): void {
    this.#air?.disconnect();
    this.#air = null;
  }
}
