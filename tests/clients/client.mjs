// What the Node.js clients share: the arguments, the Content-Digest that their libraries leave to others, and the
// answer as one line of JSON.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

// Finds a package where `setup` has put it.
export const library = createRequire(new URL('../../target/clients/package.json', import.meta.url));

export function parseArguments() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: { url: text, method: text, key: text, kid: text, body: text, tag: text, created: text },
  });
  for (const name of ['url', 'method', 'key', 'kid']) {
    if (values[name] === undefined) throw new Error(`expected --${name}`);
  }
  const url = new URL(values.url);
  url.search ||= ''; // drops a `?` with nothing after it: some versions of fetch send it, others do not
  return {
    url: url.href,
    method: values.method,
    jwk: JSON.parse(readFileSync(values.key, 'utf8')),
    kid: values.kid,
    body: values.body === undefined ? undefined : readFileSync(values.body),
    tag: values.tag,
    created: values.created === undefined ? new Date() : new Date(Number(values.created) * 1000),
  };
}

export function contentDigest(body) {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

export async function send({ url, method, headers, body }) {
  const response = await fetch(url, { method, headers, body, redirect: 'manual' });
  console.log(JSON.stringify({ status: response.status, body: await response.text() }));
}
