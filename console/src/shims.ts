// Library calls that Svelte uses and Chromium 80 lacks. Imported before anything else; our own
// code does not use them.

interface Shimmable {
  prototype: object;
}

function add(on: object, name: string, value: unknown): void {
  if (name in on) return;
  Object.defineProperty(on, name, { value, writable: true, configurable: true });
}

function at(this: ArrayLike<unknown>, index: number): unknown {
  const place = Math.trunc(index) || 0;
  return this[place < 0 ? this.length + place : place];
}

for (const kind of [Array, String] as Shimmable[]) add(kind.prototype, 'at', at);

add(String.prototype, 'replaceAll', function replaceAll(this: string, what: string | RegExp, by: string) {
  return typeof what === 'string' ? this.split(what).join(by) : this.replace(what, by);
});

add(Object, 'hasOwn', (on: object, name: PropertyKey) => Object.prototype.hasOwnProperty.call(on, name));

export {};
