// A running `clickstream up --embedded`, on the same port and in the same directory after a restart.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const freePort = () => new Promise((done) => {
  const server = createServer();
  server.listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)); });
});

/** Much happens, and soon. */
const BUSY = ['--rate', '1000', '--window', '20s', '--slide', '2s', '--session-gap', '5s', '--inject-bots', '0.03', '--inject-malformed', '0.01', '--inject-late', '0.01', '--inject-duplicate', '0.01'];

export class Up {
  static async start(binary, options = BUSY) {
    const up = new Up();
    Object.assign(up, { binary, options });
    up.dir = mkdtempSync(join(tmpdir(), 'clickstream-dashboard-'));
    up.port = await freePort();
    up.url = `http://127.0.0.1:${up.port}`;
    await up.again();
    return up;
  }

  /** Starts it, and waits until a window has been written. */
  async again() {
    this.child = spawn(this.binary, ['up', '--embedded', '--json', '--data-dir', this.dir, '--http-port', String(this.port), '--collector-port', '0', ...this.options], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    await new Promise((done, fail) => {
      this.child.stdout.on('data', (data) => { if (text.length < 1e6) text += data; if (text.includes('"type":"window"')) done(); });
      this.child.on('exit', () => fail(new Error(`up has ended: ${text.slice(-2000)}`)));
    });
    this.child.removeAllListeners('exit');
  }

  /** Ends it as Ctrl-C does. */
  async stop() {
    const ended = new Promise((done) => { this.child.on('exit', done); });
    this.child.kill('SIGTERM');
    await ended;
  }

  async end() {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async get(path) {
    const answer = await fetch(`${this.url}/api/v1${path}`);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}
