// Signs with npm's http-message-signatures, with the library's own choice of parameters (keyid, alg, created, and
// expires, 300 seconds later) and a nonce.
import { createPrivateKey, randomUUID } from 'node:crypto';
import { contentDigest, library, parseArguments, send } from './client.mjs';

const { createSigner, defaultParams, httpbis } = library('http-message-signatures');

const { url, method, jwk, kid, body, tag, created } = parseArguments();
const algorithm = { Ed25519: 'ed25519', 'P-256': 'ecdsa-p256-sha256' }[jwk.crv];
const signed = await httpbis.signMessage(
  {
    key: createSigner(createPrivateKey({ key: jwk, format: 'jwk' }), algorithm, kid),
    fields: ['@method', '@target-uri', ...(body ? ['content-digest'] : [])],
    params: [...defaultParams, 'nonce', 'tag'],
    paramValues: { created, nonce: randomUUID(), tag },
  },
  { method, url, headers: body ? { 'Content-Digest': contentDigest(body) } : {} },
);
await send({ ...signed, body });
