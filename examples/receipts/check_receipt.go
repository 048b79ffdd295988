// Checks receipts of the relay as a backend in Go does, with nothing but the standard library.
//
//	go run check_receipt.go http://relay:8001/.well-known/jwks.json https://relay.bank.example payments
//
// reads one request a line, as JSON: {"method", "url", "body", "receipt"}. Take Checker; the rest is for trying it.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// leeway is by how much clocks may differ.
const leeway = 5 * time.Second

// fetchAgain is how long to wait at least before the keys are fetched again: else whoever sends receipts that name
// keys of their own could have the relay asked for each.
const fetchAgain = 10 * time.Second

// Claims of a receipt.
type Claims struct {
	Issuer        string  `json:"iss"`
	Subject       string  `json:"sub"`
	ID            string  `json:"jti"`
	IssuedAt      int64   `json:"iat"`
	Expires       int64   `json:"exp"`
	Audience      string  `json:"aud"`
	Method        string  `json:"htm"`
	URL           string  `json:"htu"`
	ContentDigest *string `json:"content_digest"`
	Policy        string  `json:"policy"`
}

// Checker checks receipts by one issuer, for one audience: this backend's own name.
type Checker struct {
	JWKS, Issuer, Audience string

	mutex   sync.Mutex
	keys    map[string]ed25519.PublicKey
	fetched time.Time
	seen    map[string]time.Time // jti -> exp. Where several processes serve, they share it: in a database, say.
}

// Check returns the claims of the receipt, if it is one for this request. url is what clients call the resource.
func (c *Checker) Check(receipt, method, url string, body []byte) (*Claims, error) {
	parts := strings.Split(receipt, ".")
	if len(parts) != 3 {
		return nil, errors.New("the receipt is no compact JWS")
	}
	var header struct {
		Algorithm string   `json:"alg"`
		Type      string   `json:"typ"`
		KeyID     string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, err
	}
	if header.Algorithm != "EdDSA" || header.Type != "proof-receipt+jwt" || header.Critical != nil {
		return nil, errors.New("the header is not that of a receipt")
	}
	key, err := c.key(header.KeyID)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("the signature does not verify")
	}
	var claims Claims
	if err := decode(parts[1], &claims); err != nil {
		return nil, err
	}
	now := time.Now()
	switch {
	case claims.Issuer != c.Issuer:
		return nil, errors.New("iss is another issuer")
	case claims.Audience != c.Audience:
		return nil, errors.New("aud is another backend")
	case !now.Before(time.Unix(claims.Expires, 0).Add(leeway)):
		return nil, errors.New("the receipt is over")
	case claims.ID == "":
		return nil, errors.New("jti is missing")
	case claims.Method != method:
		return nil, errors.New("htm is another method")
	case claims.URL != url:
		return nil, errors.New("htu is another URL")
	}
	if err := checkBody(claims.ContentDigest, body); err != nil {
		return nil, err
	}
	return &claims, c.useUp(claims.ID, time.Unix(claims.Expires, 0).Add(leeway), now)
}

// checkBody compares every digest with the body. Without one there is no body.
func checkBody(contentDigest *string, body []byte) error {
	if contentDigest == nil {
		if len(body) > 0 {
			return errors.New("the receipt is for a request without body")
		}
		return nil
	}
	for _, digest := range strings.Split(*contentDigest, ", ") {
		algorithm, value, _ := strings.Cut(digest, "=")
		var sum []byte
		switch algorithm {
		case "sha-256":
			hash := sha256.Sum256(body)
			sum = hash[:]
		case "sha-512":
			hash := sha512.Sum512(body)
			sum = hash[:]
		default:
			return errors.New("content_digest has an unknown algorithm")
		}
		if value != ":"+base64.StdEncoding.EncodeToString(sum)+":" {
			return errors.New("content_digest is that of another body")
		}
	}
	return nil
}

// useUp counts each receipt once. It is remembered until it is over.
func (c *Checker) useUp(id string, until, now time.Time) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for known, over := range c.seen {
		if !now.Before(over) {
			delete(c.seen, known)
		}
	}
	if _, used := c.seen[id]; used {
		return errors.New("the receipt was used before")
	}
	if c.seen == nil {
		c.seen = map[string]time.Time{}
	}
	c.seen[id] = until
	return nil
}

// key finds a key of the relay, and fetches them when it is not among those that are known, or they are old.
func (c *Checker) key(id string) (ed25519.PublicKey, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	age := time.Since(c.fetched)
	if key, known := c.keys[id]; known && age < 5*time.Minute {
		return key, nil
	}
	if age > fetchAgain {
		if err := c.fetch(); err != nil {
			return nil, err
		}
	}
	if key, known := c.keys[id]; known {
		return key, nil
	}
	return nil, errors.New("kid names a key that is not the relay's")
}

func (c *Checker) fetch() error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(c.JWKS)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the relay's keys: %s", response.Status)
	}
	var set struct {
		Keys []struct {
			Kty, Crv, X, Kid string
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return err
	}
	keys := map[string]ed25519.PublicKey{}
	for _, jwk := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(jwk.X)
		if err == nil && jwk.Kty == "OKP" && jwk.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			keys[jwk.Kid] = x
		}
	}
	c.keys, c.fetched = keys, time.Now()
	return nil
}

func decode(part string, to any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(to)
}

func main() {
	checker := &Checker{JWKS: os.Args[1], Issuer: os.Args[2], Audience: os.Args[3]}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var request struct{ Method, URL, Body, Receipt string }
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		claims, err := checker.Check(request.Receipt, request.Method, request.URL, []byte(request.Body))
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println("accepted:", claims.Subject)
	}
}
