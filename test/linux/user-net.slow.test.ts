/** A guest on the host's network: what came from there is on the recording, and a replay asks nobody. */
import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'vitest';
import { record, replay } from '../../src/index.ts';
import { linuxGuest } from '../../src/host/linux-guest.ts';
import { testWithImages } from '../support/images.ts';
import { COMPLAINTS, IMAGES, KERNEL_OPTIONS } from './guest.ts';

const page = Buffer.from(Array.from({ length: 50_000 }, (_, i) => `line ${i}\n`).join(''));
const sum = createHash('sha256').update(page).digest('hex');

testWithImages(
  'DHCP, ping, a page from the host and back to it, a refused connection',
  IMAGES,
  async () => {
    let requests = 0;
    const web = createHttpServer((_, response) => {
      requests++;
      response.end(page);
    });
    const taken: Buffer[] = [];
    const sink = createServer((socket) => {
      socket.on('data', (data) => taken.push(data));
    });
    for (const server of [web, sink]) await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const [webPort, sinkPort] = [web, sink].map((server) => (server.address() as AddressInfo).port);
    const { kernel, initramfs } = linuxGuest({});
    const config = `name = "linux"\ntype = "pvh"\nkernel = "${kernel}"\nramdisk = "${initramfs}"\nmemory = 96
vif = ["bridge=user"]\nextra = "${KERNEL_OPTIONS}"\n`;
    const recorded = await record({
      domains: [config],
      maxTicks: 60_000_000_000,
      script: `
expect "is ready"
expect "# "
send "ip link set eth0 up; udhcpc -n -q -f -i eth0 -s /bin/true; ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2; ping -c 2 10.0.2.2; echo on''e\\n"
expect "\\none\\r"
send "wget -q -O - http://10.0.2.2:${webPort}/ | sha256sum; wget -q -O got http://10.0.2.2:${webPort}/; nc 10.0.2.2 ${sinkPort} < got; echo tw''o\\n"
expect "\\ntwo\\r"
send "wget http://10.0.2.2:1/; echo thr''ee; poweroff\\n"
expect "System halted"
`,
    });
    for (const server of [web, sink]) server.close();
    const text = recorded.console('linux');
    expect(recorded).toMatchObject({ outcome: 'finished', message: undefined });
    expect(text).toContain('lease of 10.0.2.15 obtained');
    expect(text).toContain('2 packets transmitted, 2 packets received, 0% packet loss');
    expect(text).toContain(`${sum}  -`);
    expect(createHash('sha256').update(Buffer.concat(taken)).digest('hex')).toBe(sum);
    expect(text).toContain('Connection refused');
    expect(text).not.toMatch(COMPLAINTS);
    const before = requests;
    expect(replay(recorded.file!)).toMatchObject({ verified: true, whole: true, digest: recorded.digest });
    expect([before, requests]).toEqual([2, 2]);
  },
  1_800_000,
);
