// Signs with npm's web-bot-auth, as a bot that says who runs it in Signature-Agent. The library has Ed25519 only,
// always writes the tag "web-bot-auth" and a nonce of 64 bytes, and would by itself cover no more than `@authority`
// and `signature-agent`.
import { contentDigest, library, parseArguments, send } from './client.mjs';

const { HTTP_MESSAGE_SIGNATURE_TAG, REQUEST_COMPONENTS, signatureHeaders } = library('web-bot-auth');
const { signerFromJWK } = library('web-bot-auth/crypto');

const { url, method, jwk, kid, body, tag, created } = parseArguments();
if (tag !== undefined && tag !== HTTP_MESSAGE_SIGNATURE_TAG) {
  throw new Error(`expected no --tag but ${HTTP_MESSAGE_SIGNATURE_TAG}, which the library always writes`);
}
const signer = await signerFromJWK(jwk);
signer.keyid = kid; // the library's own is the key's thumbprint
const headers = {
  'Signature-Agent': '"https://bot.example"',
  ...(body && { 'Content-Digest': contentDigest(body) }),
};
const signature = await signatureHeaders({ method, url, headers }, signer, {
  components: [...REQUEST_COMPONENTS, '@method', '@target-uri', ...(body ? ['content-digest'] : [])],
  created,
  expires: new Date(created.getTime() + 300_000),
});
await send({ url, method, headers: { ...headers, ...signature }, body });
