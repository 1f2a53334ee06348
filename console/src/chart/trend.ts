// The trend chart: uPlot with our own bands, limit lines and alarm marks. Plain TypeScript, so that
// the framework stays replaceable.
//
// - uPlot is loaded when the first chart is shown, after a guard: at import it makes a number format
//   of the browser's language and throws where that is empty.
// - Colours come from the page's own variables and follow the theme.
import type uPlot from 'uplot';
import { levelOf, type Kind, type LevelKind, type Priority } from '../door/desk';
import type { Plot, Stretch } from './plot';

export interface LimitLine {
  readonly kind: LevelKind;
  readonly limit: number;
  readonly label: string;
}

export interface Mark {
  readonly kind: Kind;
  readonly from: number;
  /** `null`: still on. */
  readonly to: number | null;
  readonly priority: Priority;
  readonly label: string;
  readonly late: boolean;
}

/** Everything that the chart draws. */
export interface Picture {
  readonly plot: Plot;
  readonly from: number;
  readonly to: number;
  readonly limits: readonly LimitLine[];
  readonly marks: readonly Mark[];
  /** Stands in a stretch without data. */
  readonly absentLabel: string;
  readonly formatTime: (ms: number, spanMs: number) => string;
  readonly zone: string;
}

export interface ChartEar {
  /** The sample under the pointer; `null` outside. */
  pointed(index: number | null): void;
  /** A stretch was drawn with the pointer. */
  chosen(from: number, to: number): void;
}

type Uplot = typeof uPlot;

/** Samples themselves, or least and greatest of each stretch. */
type Shape = 'line' | 'envelope';

/** Dash patterns: the kind of a limit is seen without colour. */
const DASHES: Readonly<Record<LevelKind, readonly number[]>> = {
  hh: [],
  h: [8, 4],
  l: [8, 4, 2, 4],
  ll: [2, 3],
};

const SHAPES: Readonly<Record<Priority, string>> = { 1: '◆', 2: '▲', 3: '■', 4: '●' };

/** Alarm marks stand in lanes, so that HH does not cover H; what is no level is in the last. */
const LANES: Readonly<Record<LevelKind, number>> = { hh: 0, ll: 0, h: 1, l: 1 };
const LAST_LANE = 2;

function laneOf(kind: Kind): number {
  const level = levelOf(kind);
  return level === null ? LAST_LANE : LANES[level];
}

/** Height of a mark and of its lane, CSS pixels. */
const MARK_PX = 16;
const LANE_PX = 19;

/** Room on the right for the names of limits. */
const LABEL_PX = 84;
const AXIS_FONT = '12px "Noto Sans CJK SC","Noto Sans SC","Microsoft YaHei","PingFang SC",system-ui';

async function load(): Promise<Uplot> {
  try {
    new Intl.NumberFormat(navigator.language);
  } catch {
    Object.defineProperty(navigator, 'language', { value: 'zh-CN', configurable: true });
  }
  await import('uplot/dist/uPlot.min.css');
  return (await import('uplot')).default;
}

export class TrendChart {
  #chart: uPlot | null = null;
  #picture: Picture | null = null;
  #shape: Shape | null = null;
  #gone = false;
  #make: Uplot | null = null;

  constructor(
    private readonly host: HTMLElement,
    private readonly ear: ChartEar,
  ) {}

  async open(): Promise<void> {
    this.#make = await load();
    if (this.#picture !== null) this.draw(this.#picture);
  }

  close(): void {
    this.#gone = true;
    this.#chart?.destroy();
    this.#chart = null;
  }

  draw(picture: Picture): void {
    this.#picture = picture;
    if (this.#make === null || this.#gone) return;
    const shape: Shape = picture.plot.low === null ? 'line' : 'envelope';
    if (shape !== this.#shape) {
      this.#chart?.destroy();
      this.#shape = shape;
      this.#chart = new this.#make(this.#options(this.#make, shape), table(picture.plot), this.host);
    } else {
      this.#chart?.setData(table(picture.plot), false);
    }
    this.#chart?.setScale('x', { min: picture.from / 1000, max: picture.to / 1000 });
  }

  fit(): void {
    this.#chart?.setSize({ width: this.host.clientWidth, height: this.host.clientHeight });
  }

  /** After a change of theme or language. */
  repaint(): void {
    this.#chart?.redraw(false, true);
  }

  #options(make: Uplot, shape: Shape): uPlot.Options {
    const line = (): string => colour(this.host, '--trend');
    const muted = (): string => colour(this.host, '--muted');
    const grid = { stroke: () => colour(this.host, '--line'), width: 1 };
    const axis = { stroke: muted, font: AXIS_FONT, grid, ticks: grid };
    const envelope: uPlot.Series = { stroke: 'transparent', points: { show: false } };
    return {
      width: this.host.clientWidth,
      height: this.host.clientHeight,
      tzDate: (seconds) => make.tzDate(new Date(seconds * 1000), this.#picture?.zone ?? 'Asia/Shanghai'),
      padding: [10, LABEL_PX, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: { x: { time: true }, y: { range: (_, low, high) => this.#range(low, high) } },
      axes: [
        { ...axis, space: 90, values: (_, splits) => this.#times(splits) },
        { ...axis, size: 60 },
      ],
      series:
        shape === 'line'
          ? [{}, { stroke: line, width: 1.5, points: { show: false } }]
          : [{}, { stroke: line, width: 1.5, points: { show: false } }, envelope, envelope],
      bands: shape === 'line' ? [] : [{ series: [3, 2], fill: () => colour(this.host, '--envelope') }],
      hooks: {
        drawAxes: [(chart) => this.#under(chart)],
        draw: [(chart) => this.#over(chart)],
        setCursor: [(chart) => this.ear.pointed(chart.cursor.idx ?? null)],
        setSelect: [(chart) => this.#chosen(chart)],
      },
    };
  }

  #times(splits: readonly number[]): string[] {
    const picture = this.#picture;
    if (picture === null) return [];
    return splits.map((seconds) => picture.formatTime(seconds * 1000, picture.to - picture.from));
  }

  /** Data and limits fit, with a little air; a flat line is not blown up to noise. */
  #range(low: number | null, high: number | null): [number, number] {
    const limits = (this.#picture?.limits ?? []).map(({ limit }) => limit);
    const values = [...limits, ...(low === null ? [] : [low]), ...(high === null ? [] : [high])];
    if (values.length === 0) return [0, 1];
    const bottom = Math.min(...values);
    const top = Math.max(...values);
    const air = Math.max((top - bottom) * 0.08, Math.abs(top) * 0.005, 1e-6);
    return [bottom - air, top + air * 3];
  }

  #chosen(chart: uPlot): void {
    const { left, width } = chart.select;
    if (width < 8) return;
    const from = chart.posToVal(left, 'x') * 1000;
    const to = chart.posToVal(left + width, 'x') * 1000;
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.ear.chosen(Math.round(from), Math.round(to));
  }

  #under(chart: uPlot): void {
    const picture = this.#picture;
    if (picture === null) return;
    clipped(chart, (ink) => {
      for (const stretch of picture.plot.absent) this.#absent(chart, ink, stretch, picture.absentLabel);
      for (const stretch of picture.plot.bad) this.#bad(chart, ink, stretch);
    });
  }

  #absent(chart: uPlot, ink: CanvasRenderingContext2D, stretch: Stretch, label: string): void {
    const box = place(chart, stretch.from, stretch.to);
    const { top, height } = chart.bbox;
    ink.fillStyle = colour(this.host, '--absent');
    ink.fillRect(box.left, top, box.width, height);
    ink.font = `${13 * devicePixelRatio}px ${AXIS_FONT.slice(5)}`;
    if (ink.measureText(label).width > box.width) return;
    ink.fillStyle = colour(this.host, '--text');
    ink.textAlign = 'center';
    ink.textBaseline = 'alphabetic';
    ink.fillText(label, box.left + box.width / 2, top + height - 12 * devicePixelRatio);
  }

  /** Violet hatch and a question mark: no number, and not a zero. */
  #bad(chart: uPlot, ink: CanvasRenderingContext2D, stretch: Stretch): void {
    const box = place(chart, stretch.from, stretch.to);
    const { top, height } = chart.bbox;
    const ratio = devicePixelRatio;
    ink.save();
    ink.beginPath();
    ink.rect(box.left, top, box.width, height);
    ink.clip();
    ink.strokeStyle = colour(this.host, '--bad');
    ink.lineWidth = ratio;
    ink.beginPath();
    for (let at = box.left - height; at < box.left + box.width; at += 10 * ratio) {
      ink.moveTo(at, top + height);
      ink.lineTo(at + height, top);
    }
    ink.stroke();
    ink.restore();
    const middle = box.left + box.width / 2;
    ink.fillStyle = colour(this.host, '--panel');
    ink.fillRect(middle - 9 * ratio, top + height - 26 * ratio, 18 * ratio, 20 * ratio);
    ink.fillStyle = colour(this.host, '--bad');
    ink.font = `bold ${16 * ratio}px system-ui`;
    ink.textAlign = 'center';
    ink.textBaseline = 'alphabetic';
    ink.fillText('?', middle, top + height - 10 * ratio);
  }

  #over(chart: uPlot): void {
    const picture = this.#picture;
    if (picture === null) return;
    clipped(chart, (ink) => {
      for (const line of picture.limits) this.#limit(chart, ink, line);
      for (const mark of picture.marks) this.#mark(chart, ink, mark, picture.to);
    });
    for (const line of picture.limits) this.#limitLabel(chart, line);
  }

  #limit(chart: uPlot, ink: CanvasRenderingContext2D, line: LimitLine): void {
    const ratio = devicePixelRatio;
    const y = chart.valToPos(line.limit, 'y', true);
    const right = chart.bbox.left + chart.bbox.width;
    ink.strokeStyle = colour(this.host, '--text');
    ink.lineWidth = (line.kind === 'hh' ? 2 : 1.5) * ratio;
    ink.setLineDash(DASHES[line.kind].map((part) => part * ratio));
    ink.beginPath();
    ink.moveTo(chart.bbox.left, y);
    ink.lineTo(right, y);
    ink.stroke();
    ink.setLineDash([]);
  }

  /** At the end of its line, outside the plot: it covers no data. */
  #limitLabel(chart: uPlot, line: LimitLine): void {
    const ink = chart.ctx;
    const { left, width, top, height } = chart.bbox;
    const y = chart.valToPos(line.limit, 'y', true);
    if (y < top || y > top + height) return;
    ink.save();
    ink.font = `${12 * devicePixelRatio}px ${AXIS_FONT.slice(5)}`;
    ink.textAlign = 'left';
    ink.textBaseline = 'middle';
    ink.fillStyle = colour(this.host, '--text');
    ink.fillText(line.label, left + width + 6 * devicePixelRatio, y);
    ink.restore();
  }

  /** An occurrence: a bar at the top from on to off, with the shape of its priority. */
  #mark(chart: uPlot, ink: CanvasRenderingContext2D, mark: Mark, end: number): void {
    const ratio = devicePixelRatio;
    const box = place(chart, mark.from, mark.to ?? end);
    const top = chart.bbox.top + laneOf(mark.kind) * LANE_PX * ratio;
    const height = MARK_PX * ratio;
    const fill = colour(this.host, `--p${mark.priority}`);
    ink.fillStyle = fill;
    ink.strokeStyle = colour(this.host, `--p${mark.priority}-line`);
    ink.lineWidth = 1.5 * ratio;
    ink.setLineDash(mark.late ? [4 * ratio, 3 * ratio] : []);
    const width = Math.max(box.width, 3 * ratio);
    if (!mark.late) ink.fillRect(box.left, top, width, height);
    ink.strokeRect(box.left, top, width, height);
    ink.setLineDash([]);
    ink.beginPath();
    ink.moveTo(box.left, top + height);
    ink.lineTo(box.left, chart.bbox.top + chart.bbox.height);
    ink.globalAlpha = 0.5;
    ink.stroke();
    ink.globalAlpha = 1;
    ink.font = `${12 * ratio}px ${AXIS_FONT.slice(5)}`;
    ink.textBaseline = 'alphabetic';
    const label = `${SHAPES[mark.priority]}${mark.label}`;
    const inside = !mark.late && ink.measureText(label).width + 8 * ratio < width;
    ink.fillStyle = colour(this.host, inside ? `--p${mark.priority}-text` : '--text');
    const room = box.left + width + 4 * ratio + ink.measureText(label).width < chart.bbox.left + chart.bbox.width;
    ink.textAlign = inside || room ? 'left' : 'right';
    const at = inside ? box.left + 4 * ratio : room ? box.left + width + 4 * ratio : box.left - 4 * ratio;
    ink.fillText(label, at, top + 12 * ratio);
  }
}

function table(plot: Plot): uPlot.AlignedData {
  const rows: (readonly (number | null)[])[] = [plot.x, plot.y];
  if (plot.low !== null && plot.high !== null) rows.push(plot.low, plot.high);
  return rows as unknown as uPlot.AlignedData;
}

function place(chart: uPlot, from: number, to: number): { left: number; width: number } {
  const left = chart.valToPos(from / 1000, 'x', true);
  return { left, width: Math.max(1, chart.valToPos(to / 1000, 'x', true) - left) };
}

function clipped(chart: uPlot, paint: (ink: CanvasRenderingContext2D) => void): void {
  const { left, top, width, height } = chart.bbox;
  chart.ctx.save();
  chart.ctx.beginPath();
  chart.ctx.rect(left, top, width, height);
  chart.ctx.clip();
  paint(chart.ctx);
  chart.ctx.restore();
}

function colour(host: HTMLElement, name: string): string {
  return getComputedStyle(host).getPropertyValue(name).trim();
}
