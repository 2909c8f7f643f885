// Sends records with the fluent logger of Node.js and says how many were acknowledged.

import { createRequire } from 'node:module';

const { FluentClient } = createRequire(import.meta.url)('@fluent-org/logger');
const { port, count, mode, security, ca } = JSON.parse(process.env.FLUENT_OPTIONS);

const client = new FluentClient('crm', {
  eventMode: mode,
  socket: {
    host: '127.0.0.1',
    port,
    ...(ca && { tls: { ca, servername: 'localhost' } }),
  },
  ...(security && { security: { clientHostname: 'client.example', ...security } }),
  ack: { ackTimeout: 30_000 },
  milliseconds: true,
  eventRetry: { attempts: 0 },
});
client.socketOn('error', (error) => {
  console.error(error.message);
  process.exit(1);
});

const record = (id) => ({
  identityMap: { crmid: [{ id: `c-${id}` }] },
  name: `p${id}`,
  n: 1,
  more: { text: 'äöü "\n', list: [1, -1, 1.5, null, true], big: Number.MAX_SAFE_INTEGER },
});
const sent = Array.from({ length: count }, (_, id) => client.emit('profiles', record(id)));
const acknowledged = await Promise.allSettled(sent);
console.log(acknowledged.filter(({ status }) => status === 'fulfilled').length);
await client.disconnect();
process.exit(0);
