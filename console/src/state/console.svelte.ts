// The console's heart: link, model, clock and horn, and what the screens see of them.
//
// - An event changes the model and the horn at once; the screens follow once per frame, so that
//   a flood costs one redraw and no re-sort per message. A hidden page has no frames: a timer
//   stands in.
// - The screens read `view`; nobody but this file changes it.
import { CentreClock, steady } from '../clock';
import { NoAnswer, acknowledge, give, logIn, logOut, readDesk, readPoints, whenStranger, type Ack, type Order } from '../door/api';
import type { AckResult, Given } from '../door/commands';
import type { Alarm, Desk, Gateway, Misfit, Proof, Role } from '../door/desk';
import type { Outage } from '../door/outage';
import type { Point } from '../door/points';
import type { Sample } from '../door/reading';
import { WrongShape } from '../door/shape';
import type { Late } from '../door/stream';
import { DeskModel, type News } from '../desk/model';
import { Link, type LinkState } from '../link/link';
import { openStream } from '../link/stream';
import { Horn, type HornState } from '../sound/horn';
import {
  LATE_CHIME,
  MUTE_MAX_MS,
  NOT_MUTED,
  PATTERNS,
  SELF_TEST,
  afterRaise,
  afterTime,
  loudest,
  mute,
  sounds,
  wanted,
  type Mute,
} from '../sound/pattern';
import { why } from '../words/why';
import { keep, kept } from './keep';

/** What the screens see of the model. */
export interface View {
  readonly loaded: boolean;
  readonly demo: boolean;
  readonly zone: string;
  readonly user: string;
  readonly role: Role;
  readonly alarms: ReadonlyMap<string, Alarm>;
  readonly gateways: readonly Gateway[];
  readonly lates: readonly Late[];
  readonly outages: readonly Outage[];
  readonly misfits: readonly Misfit[];
  readonly misread: readonly string[];
  readonly garbled: readonly string[];
  readonly proof: Proof | null;
}

const NOTHING: View = {
  loaded: false,
  demo: false,
  zone: 'Asia/Shanghai',
  user: '',
  role: 'viewer',
  alarms: new Map(),
  gateways: [],
  lates: [],
  outages: [],
  misfits: [],
  misread: [],
  garbled: [],
  proof: null,
};

/** A page without frames is redrawn this often. */
const HIDDEN_DRAW_MS = 250;

/** Beat of horn, clock and flash: the flash is 1 Hz, half on, half off. */
const BEAT_MS = 100;
const FLASH_HALF_MS = 500;

/** After garbled messages a snapshot is read again, at most this often. */
const REREAD_EVERY_MS = 10_000;

/** A back-fill tells its parts one by one; the packages are read once after this pause. */
const OUTAGES_AFTER_MS = 500;

/** `asked`: whether the centre knows us is not told yet. `stranger`: it does not, or not any more.
 * `left`: we have logged out. */
export type Person = 'asked' | 'known' | 'stranger' | 'left';

class Console {
  view = $state.raw<View>(NOTHING);
  person = $state<Person>('asked');
  link = $state.raw<LinkState>({ kind: 'starting' });
  horn = $state.raw<HornState>('blocked');
  muted = $state.raw<Mute>(NOT_MUTED);
  /** The centre's time, to the second. */
  now = $state(0);
  /** Our steady time, to the second: for ages and silences. */
  elapsed = $state(0);
  /** The dark half of the flash. */
  dark = $state(false);
  points = $state.raw<ReadonlyMap<number, Point>>(new Map());
  selfTestAt = $state(Number(kept('self_test') ?? 0));

  #liveTurn = $state(0);
  readonly #model = new DeskModel();
  readonly #clock = new CentreClock();
  readonly #player = new Horn(steady, (state) => (this.horn = state));
  readonly #link = new Link(
    { readDesk, openStream, steady, why },
    {
      desk: (desk) => this.#loaded(desk),
      event: (event) => {
        if (event.kind === 'ping') this.#heardClock(event.serverTime);
        if (event.kind === 'values') this.#valuesMoved = true;
        this.#announce(this.#model.apply(event));
      },
      misread: (why) => this.#garbled(why),
      state: (state) => this.#linkMoved(state),
    },
  );
  #desk: Pick<View, 'loaded' | 'demo' | 'zone' | 'user' | 'role'> = NOTHING;
  #pingedAt = 0;
  #rereadAt = -REREAD_EVERY_MS;
  #drawing = false;
  #valuesMoved = false;
  #outagesTimer: ReturnType<typeof setTimeout> | null = null;
  /** Link and engine, as last sounded. */
  #deaf = false;

  /** Begins; the result ends it. */
  start(): () => void {
    this.#player.open();
    whenStranger(() => this.#unknown());
    this.#link.start();
    const beat = setInterval(() => this.#beat(), BEAT_MS);
    const wake = (): void => this.#link.check();
    const touch = (): void => this.#player.resume();
    document.addEventListener('visibilitychange', wake);
    addEventListener('focus', wake);
    addEventListener('pointerdown', touch);
    addEventListener('keydown', touch);
    return () => {
      clearInterval(beat);
      this.#link.stop();
      document.removeEventListener('visibilitychange', wake);
      removeEventListener('focus', wake);
      removeEventListener('pointerdown', touch);
      removeEventListener('keydown', touch);
    };
  }

  /** Newest sample of a point: from the stream, else from the list of points. */
  sample(point: number | null): Sample | null {
    if (point === null) return null;
    void this.#liveTurn;
    return this.#model.live.get(point) ?? this.points.get(point)?.last ?? null;
  }

  /** True where nothing is known of now: link broken, or gateway not heard. */
  isBlind(gateway: string): boolean {
    if (this.link.kind !== 'live') return true;
    return this.view.gateways.some((one) => one.gateway === gateway && one.state !== 'online');
  }

  /** Age of the newest data: as the centre last told it and grown since, or of what came newer. */
  dataAge(): number | null {
    void this.#liveTurn;
    const told = this.view.proof?.dataAgeMs ?? null;
    const grown = told === null ? Infinity : told + Math.max(0, this.elapsed - this.#pingedAt);
    const age = Math.min(grown, Math.max(0, this.now - this.#model.newest));
    return Number.isFinite(age) ? age : null;
  }

  /** Age of the last canary now; `null`: the centre does not tell. */
  canaryAge(): number | null {
    const told = this.view.proof?.canaryAgeMs ?? null;
    return told === null ? null : told + Math.max(0, this.elapsed - this.#pingedAt);
  }

  /** False where the centre is heard and says that its engine does not answer. */
  get engineOk(): boolean {
    return this.view.proof?.engineOk ?? true;
  }

  exactNow(): number {
    return this.#clock.now();
  }

  allowSound(): void {
    this.#player.resume();
  }

  selfTest(): void {
    this.#player.resume();
    this.#player.once(SELF_TEST);
    if (this.horn !== 'sounding_allowed') return;
    this.selfTestAt = this.#clock.now();
    keep('self_test', String(this.selfTestAt));
  }

  toggleMute(): void {
    this.muted = this.muted.kind === 'on' ? NOT_MUTED : mute(steady(), loudest(this.#model.alarms.values()));
    this.#sound();
  }

  muteLeftS(): number {
    const left = this.muted.kind === 'on' ? this.muted.until - this.elapsed : 0;
    return Math.ceil(Math.min(Math.max(left, 0), MUTE_MAX_MS) / 1000);
  }

  dismiss(late: Late): void {
    this.#model.dismiss(late);
    this.#draw();
  }

  forgetGarbled(): void {
    this.#model.forgetGarbled();
    this.#draw();
  }

  /** True where this person may act on alarms. */
  get mayAct(): boolean {
    return this.view.role !== 'viewer';
  }

  /** Logs in; what went wrong, in words, or nothing. */
  async logIn(name: string, password: string): Promise<string> {
    try {
      await logIn(name, password);
    } catch (error) {
      return why(error);
    }
    this.person = 'asked';
    this.#link.stop();
    this.#link.start();
    return '';
  }

  /** Logs out; what went wrong, in words, or nothing. */
  async logOut(): Promise<string> {
    try {
      await logOut();
    } catch (error) {
      if (!(error instanceof NoAnswer) || error.reason !== 'log_in') return why(error);
    }
    this.person = 'left';
    this.#link.stop();
    this.#sound();
    return '';
  }

  /** The centre does not know us. Whoever was on duty here hears it as a broken link. */
  #unknown(): void {
    if (this.person === 'left' || this.person === 'stranger') return;
    this.person = 'stranger';
    this.#sound();
  }

  /** Sends an acknowledgement. The desk changes when the centre's own event comes. */
  async acknowledge(acks: readonly Ack[], comment: string): Promise<readonly AckResult[] | string> {
    try {
      return await acknowledge(acks, comment);
    } catch (error) {
      return why(error);
    }
  }

  /** Gives an order about one alarm. The desk changes when the centre's own event comes. */
  async give(order: Order): Promise<Given | string> {
    try {
      return await give(order);
    } catch (error) {
      if (error instanceof NoAnswer && error.reason === 'refused') return { outcome: 'refused', why: error.message };
      return why(error);
    }
  }

  #loaded(desk: Desk): void {
    this.person = 'known';
    this.#desk = { loaded: true, demo: desk.demo, zone: desk.zone, user: desk.user, role: desk.role };
    this.#heardClock(desk.serverTime);
    this.#announce(this.#model.load(desk));
    this.#readPoints();
  }

  /** Names, ranges and first values. The desk does not wait for them. */
  #readPoints(): void {
    readPoints().then(
      (points) => (this.points = new Map(points.map((point) => [point.point, point]))),
      (error: unknown) => {
        if (error instanceof WrongShape) this.#model.cannotRead(error.message);
        else if (!(error instanceof NoAnswer)) throw error;
        this.#draw();
      },
    );
  }

  /** Packages after a back-fill. The list of alarms has its own events and is left as it is. */
  #lookAtOutages(): void {
    this.#outagesTimer ??= setTimeout(() => {
      this.#outagesTimer = null;
      this.#readOutages();
    }, OUTAGES_AFTER_MS);
  }

  #readOutages(): void {
    readDesk().then(
      ({ outages }) => {
        this.#model.outages = outages;
        this.#draw();
      },
      (error: unknown) => {
        if (error instanceof WrongShape) this.#garbled(error.message);
        else if (!(error instanceof NoAnswer)) throw error;
      },
    );
  }

  #heardClock(serverTime: number): void {
    this.#clock.set(serverTime);
    this.#pingedAt = steady();
  }

  #garbled(why: string): void {
    this.#model.cannotRead(why);
    if (steady() - this.#rereadAt >= REREAD_EVERY_MS) {
      this.#rereadAt = steady();
      this.#link.reload();
    }
    this.#draw();
  }

  #linkMoved(state: LinkState): void {
    this.link = state;
    this.#sound();
    this.#draw();
  }

  #announce(news: readonly News[]): void {
    for (const item of news) {
      switch (item.kind) {
        case 'raised':
          if (!sounds(item.alarm)) break;
          this.muted = afterRaise(this.muted, item.alarm.priority);
          if (item.alarm.priority === 4 && this.muted.kind === 'off') this.#player.once(PATTERNS[4]);
          break;
        case 'late':
          if (this.muted.kind === 'off') this.#player.once(LATE_CHIME);
          this.#lookAtOutages();
          break;
        case 'reload':
          this.#link.reload();
          break;
      }
    }
    this.#sound();
    this.#draw();
  }

  #sound(): void {
    const off = this.person === 'left' || !this.#desk.loaded;
    const highest = off ? null : loudest(this.#model.alarms.values());
    const deaf = !off && (this.link.kind === 'broken' || this.person === 'stranger' || this.#model.proof?.engineOk === false);
    if (deaf && !this.#deaf) this.muted = afterRaise(this.muted, 2);
    this.#deaf = deaf;
    this.#player.want(wanted(highest, deaf, this.muted));
  }

  #beat(): void {
    const now = steady();
    const muted = afterTime(this.muted, now);
    if (muted !== this.muted) {
      this.muted = muted;
      this.#sound();
    }
    this.#player.tick();
    this.dark = Math.floor(now / FLASH_HALF_MS) % 2 === 1;
    const second = Math.floor(now / 1000);
    if (second === Math.floor(this.elapsed / 1000) && this.now !== 0) return;
    this.elapsed = now;
    this.now = this.#clock.now();
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    let timer = 0;
    const draw = (): void => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      this.#drawing = false;
      this.#publish();
    };
    const frame = requestAnimationFrame(draw);
    timer = window.setTimeout(draw, HIDDEN_DRAW_MS);
  }

  #publish(): void {
    const { alarms, gateways, lates, outages, misfits, misread, garbled, proof } = this.#model;
    this.view = { ...this.#desk, alarms, gateways, lates, outages, misfits, misread, garbled, proof };
    if (this.#valuesMoved) {
      this.#valuesMoved = false;
      this.#liveTurn += 1;
    }
  }
}

export const desk = new Console();
