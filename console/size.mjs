// The size gate: all JavaScript of the bundle, gzipped, stays within 120 KB; and the styles hold
// nothing that Chromium 80 would drop with its whole rule.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const JS_MAX = 120 * 1024;
const CSS_NEWER_THAN_80 = [':has(', ':is(', ':where(', 'color-mix', '@layer', '@container', 'inset:', 'aspect-ratio'];

const folder = new URL('./dist/assets/', import.meta.url).pathname;
let js = 0;
let faults = 0;
for (const name of readdirSync(folder).sort()) {
  const bytes = readFileSync(join(folder, name));
  const packed = gzipSync(bytes, { level: 9 }).length;
  console.log(`${name}  ${bytes.length} B, gzip ${packed} B`);
  if (name.endsWith('.js')) js += packed;
  if (name.endsWith('.css')) {
    const text = bytes.toString('utf8');
    for (const word of CSS_NEWER_THAN_80.filter((word) => text.includes(word))) {
      console.error(`${name} uses ${word} which Chromium 80 does not know`);
      faults += 1;
    }
  }
}
console.log(`JavaScript gzip ${js} B of ${JS_MAX} B allowed`);
if (js === 0) console.error('no bundle: run npm run build first');
process.exit(js > 0 && js <= JS_MAX && faults === 0 ? 0 : 1);
