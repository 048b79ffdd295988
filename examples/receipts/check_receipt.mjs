// Checks receipts of the relay as a backend in Node.js does. It needs jose.
//
//     node check_receipt.mjs http://relay:8001/.well-known/jwks.json https://relay.bank.example payments
//
// reads one request a line, as JSON: {"method", "url", "body", "receipt"}. Take the class; the rest is for trying it.

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

import { createRemoteJWKSet, jwtVerify } from "jose";

const DIGESTS = { "sha-256": "sha256", "sha-512": "sha512" };
const LEEWAY = 5; // seconds by which clocks may differ

/** Checks receipts by one issuer, for one audience: this backend's own name. */
export class ReceiptChecker {
  constructor(jwksUrl, issuer, audience) {
    // It keeps the keys, and fetches them again when a receipt names one that it does not know.
    this.keys = createRemoteJWKSet(new URL(jwksUrl), { cacheMaxAge: 300_000 });
    this.issuer = issuer;
    this.audience = audience;
    this.seen = new Map(); // jti -> exp. Where several processes serve, they share it: in a database, say.
  }

  /** The claims of the receipt, if it is one for this request. `url` is what clients call the resource. */
  async check(receipt, method, url, body) {
    const { payload: claims } = await jwtVerify(receipt, this.keys, {
      algorithms: ["EdDSA"], // never the one that the receipt asks for
      typ: "proof-receipt+jwt",
      issuer: this.issuer,
      audience: this.audience,
      clockTolerance: LEEWAY,
      requiredClaims: ["iss", "aud", "sub", "iat", "exp", "jti"],
    });
    if (claims.htm !== method) throw new Error("htm is another method");
    if (claims.htu !== url) throw new Error("htu is another URL");
    this.#checkBody(claims.content_digest, body);
    this.#useUp(claims.jti, claims.exp);
    return claims;
  }

  /** Every digest must be that of the body. Without one there is no body. */
  #checkBody(contentDigest, body) {
    if (contentDigest === undefined) {
      if (body.length > 0) throw new Error("the receipt is for a request without body");
      return;
    }
    for (const digest of contentDigest.split(", ")) {
      const at = digest.indexOf("=");
      const algorithm = DIGESTS[digest.slice(0, at)];
      if (algorithm === undefined) throw new Error("content_digest has an unknown algorithm");
      const expected = `:${createHash(algorithm).update(body).digest("base64")}:`;
      if (digest.slice(at + 1) !== expected) throw new Error("content_digest is that of another body");
    }
  }

  /** Each receipt counts once. It is remembered until it is over. */
  #useUp(jti, exp) {
    const now = Date.now() / 1000;
    for (const [known, until] of this.seen) if (until <= now) this.seen.delete(known);
    if (this.seen.has(jti)) throw new Error("the receipt was used before");
    this.seen.set(jti, exp + LEEWAY);
  }
}

const checker = new ReceiptChecker(...process.argv.slice(2));
for await (const line of createInterface({ input: process.stdin })) {
  const { method, url, body, receipt } = JSON.parse(line);
  try {
    const claims = await checker.check(receipt, method, url, Buffer.from(body));
    console.log(`accepted: ${claims.sub}`);
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }
}
