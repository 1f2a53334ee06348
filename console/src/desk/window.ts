// Which rows of a long list exist in the page. Windowing decides whether a thousand alarms can be
// shown at fifty messages a second; the framework does not.

/** Height of a row, as in `look/desk.css`. */
export const ROW_PX = 26;

/** Rows above and below the visible ones that exist already. */
const MARGIN_ROWS = 6;

/** Half-open range of row numbers. */
export interface Mounted {
  readonly first: number;
  readonly end: number;
}

export function mounted(rows: number, scrollTop: number, height: number): Mounted {
  const first = Math.floor(scrollTop / ROW_PX) - MARGIN_ROWS;
  const end = Math.ceil((scrollTop + height) / ROW_PX) + MARGIN_ROWS;
  return { first: clamp(first, 0, rows), end: clamp(end, 0, rows) };
}

/** The scroll position that shows a row with least motion. */
export function reveal(row: number, scrollTop: number, height: number): number {
  const top = row * ROW_PX;
  if (top < scrollTop) return top;
  if (top + ROW_PX > scrollTop + height) return top + ROW_PX - height;
  return scrollTop;
}

/** The rows to mount: the window, and the focused row wherever it is. */
export function toMount(rows: number, window: Mounted, focused: number | null): readonly number[] {
  const list: number[] = [];
  if (focused !== null && focused < window.first) list.push(focused);
  for (let row = window.first; row < window.end; row += 1) list.push(row);
  if (focused !== null && focused >= window.end && focused < rows) list.push(focused);
  return list;
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
