// A TCP proxy that can go half-open: connections stay, bytes do not move. A cut network cable looks
// like this to a browser; a killed server does not.
import net from 'node:net';

export async function startProxy(target) {
  const { hostname, port } = new URL(target);
  const pairs = new Set();
  let cut = false;
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    const pair = [near, far];
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near]]) {
      from.on('data', (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on('drain', () => {
        if (!cut) from.resume();
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        pairs.delete(pair);
        to.destroy();
      });
    }
    if (cut) for (const socket of pair) socket.pause();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** From now on nothing arrives, and nobody is told. */
    cut() {
      cut = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    restore() {
      cut = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    async close() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
