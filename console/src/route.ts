// Addresses of the console. A tag may contain dots and a point is a number; both come from links.

export type Route =
  | { readonly kind: 'desk' }
  | { readonly kind: 'points' }
  | { readonly kind: 'point'; readonly point: number }
  | { readonly kind: 'nowhere'; readonly path: string };

export function routeOf(path: string): Route {
  if (path === '/' || path === '/desk') return { kind: 'desk' };
  if (path === '/points') return { kind: 'points' };
  const point = /^\/points\/(\d{1,9})$/.exec(path)?.[1];
  if (point !== undefined) return { kind: 'point', point: Number(point) };
  return { kind: 'nowhere', path };
}
