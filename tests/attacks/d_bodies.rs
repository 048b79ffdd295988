//! D: bodies that are not what was signed, and bodies that the relay never saw.

use proof_messenger_relay::crypto::sha512;
use proof_messenger_relay::signer::content_digest;

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, http, remove_lines, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

const MARK: &str = "x-envoy-auth-partial-body";
const BODY: &[u8] = b"{\"amount\": 7}";

#[tokio::test]
async fn d1_body_without_a_covered_digest() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let bare = signing("alice", &["@method", "@target-uri"]);
    denies(
        &relay,
        &Ask::post("/", BODY).without("content-digest").signed_as(&alice, &bare),
        "digest-missing",
    )
    .await;
    denies(&relay, &Ask::post("/", BODY).signed_as(&alice, &bare), "component-uncovered").await;
    // A body that joins a request which was signed without one.
    let honest = Ask::post("/", b"").signed_as(&alice, &bare);
    let mut joined = honest.clone().without("content-digest").replace("content-length", "13");
    joined.body = Some(BODY.to_vec());
    denies(&relay, &joined, "digest-missing").await;
    denies(&relay, &joined.header("content-digest", content_digest(BODY)), "component-uncovered").await;
    passes(&relay, &honest).await;
    passes(&relay, &Ask::post("/", BODY).signed(&alice)).await;
}

#[tokio::test]
async fn d2_digest_of_another_body() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::post("/", BODY).signed(&alice);
    for other in [&b"{\"amount\": 8}"[..], b"{\"amount\": 7}\n", b"{\"amount\": 7", b"\0\0\0"] {
        let mut attacked = honest.clone().replace("content-length", other.len().to_string());
        attacked.body = Some(other.to_vec());
        denies(&relay, &attacked, "digest-mismatch").await;
        // With its own digest, the signature no longer holds.
        let redigested = attacked.replace("content-digest", content_digest(other));
        denies(&relay, &redigested, "signature-invalid").await;
    }
    let mut emptied = honest.clone().replace("content-length", "0");
    emptied.body = Some(Vec::new());
    denies(&relay, &emptied, "digest-mismatch").await;
    emptied.body = None;
    denies(&relay, &emptied, "digest-mismatch").await;
    passes(&relay, &honest).await;
}

/// A POST that alice signed with this digest.
fn digested(alice: &Signer, digest: &str) -> Ask {
    let ask = Ask::post("/", BODY).replace("content-digest", digest);
    ask.signed_as(alice, &signing("alice", &["@method", "@target-uri", "content-digest"]))
}

fn sha512_digest(body: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    format!("sha-512=:{}:", Base64::encode_string(&sha512(body)))
}

#[tokio::test]
async fn d3_digest_that_proves_nothing() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    for digest in [
        "md5=:Sd/dVLAcvNLSq16eXua5uQ==:",
        "sha=:07CavjDP4u3/TungoUHJO/Wzr4c=:",
        "unixsum=:GQU=:",
        "crc32c=:MjAyNA==:",
        "sha-384=:AAAA:",
        "sha256=:AAAA:",
        "",
        "sha-256",
        "sha-256=?1",
        "sha-256=AAAA",
        "sha-256=\"AAAA\"",
        "sha-256=()",
        "sha-256=:AAA",
        "SHA-256=:AAAA:",
    ] {
        denies(&relay, &digested(&alice, digest), "digest-missing").await;
    }
    passes(&relay, &digested(&alice, &sha512_digest(BODY))).await;
    passes(&relay, &digested(&alice, &format!("md5=:AAAA:, {}", content_digest(BODY)))).await;
}

#[tokio::test]
async fn d4_one_digest_right_and_one_wrong() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let (short, long) = (content_digest(BODY), sha512_digest(BODY));
    let (wrong_short, wrong_long) = (content_digest(b"other"), sha512_digest(b"other"));
    for digest in [
        format!("{short}, {wrong_long}"),
        format!("{wrong_long}, {short}"),
        format!("{wrong_short}, {long}"),
        format!("{short}, sha-512=:AAAA:"),
        "sha-256=::".to_owned(),
    ] {
        denies(&relay, &digested(&alice, &digest), "digest-mismatch").await;
    }
    passes(&relay, &digested(&alice, &format!("{short}, {long}"))).await;
}

#[tokio::test]
async fn d5_digest_twice() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let (right, wrong) = (content_digest(BODY), content_digest(b"other"));
    for digest in [format!("{right}, {wrong}"), format!("{wrong}, {right}"), format!("{right}, {right}")] {
        denies(&relay, &digested(&alice, &digest), "digest-missing").await;
    }
    let signing = || signing("alice", &["@method", "@target-uri", "content-digest"]);
    let lines =
        |second: &str| Ask::post("/", BODY).header("content-digest", second).signed_as(&alice, &signing());
    denies(&relay, &lines(&right), "digest-missing").await;
    denies(&relay, &lines(&sha512_digest(b"other")), "digest-mismatch").await;
    passes(&relay, &lines(&sha512_digest(BODY))).await;
    // One spelling only, even where the other stands beside it.
    let unpadded = right.strip_suffix("=:").unwrap();
    let decoy = format!("{unpadded}:;x=\"{}\"", right.trim_start_matches("sha-256="));
    denies(&relay, &digested(&alice, &decoy), "digest-missing").await;
}

#[tokio::test]
async fn d6_part_of_the_body() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::post("/", BODY).signed(&alice);
    for (mark, code) in [("true", "body-truncated"), ("", "request-malformed"), ("TRUE", "request-malformed")]
    {
        let mut check = honest.check_request();
        remove_lines(&mut check, MARK);
        add_line(&mut check, MARK, mark);
        denies(&relay, check, code).await;
        let mut merged = honest.merged_check_request();
        http(&mut merged).headers.insert(MARK.to_owned(), mark.to_owned());
        denies(&relay, merged, code).await;
    }
    let mut twice = honest.check_request();
    add_line(&mut twice, MARK, "false");
    denies(&relay, twice, "request-malformed").await;
    // It is Envoy's word, not a header that a signature could cover.
    let covering = honest.clone().rewrite("signature-input", "\"content-digest\"", &format!("\"{MARK}\""));
    denies(&relay, &covering, "component-uncovered").await;
    let covering = honest.clone().rewrite("signature-input", "(", &format!("(\"{MARK}\" "));
    denies(&relay, &covering, "component-missing").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn d7_less_than_announced() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::post("/", BODY).signed(&alice);
    for length in ["14", "4294967309", "18446744073709551615"] {
        denies(&relay, &honest.clone().replace("content-length", length), "body-truncated").await;
    }
    for length in ["12", "0", "-13", "+13", "13.0", "0x0d", "", "13,14", "99999999999999999999999"] {
        denies(&relay, &honest.clone().replace("content-length", length), "request-malformed").await;
    }
    denies(&relay, &honest.clone().header("content-length", "14"), "request-malformed").await;
    let mut counted = honest.check_request();
    http(&mut counted).size = 14;
    denies(&relay, counted, "body-truncated").await;
    // What several say alike is said once (RFC 9110 §8.6).
    passes(&relay, &honest.clone().replace("content-length", "13, 13")).await;
    let mut huge = Ask::post("/", &vec![b'a'; 1024 * 1024 + 1]).signed(&alice).check_request();
    denies(&relay, huge.clone(), "body-truncated").await;
    http(&mut huge).raw_body.clear();
    denies(&relay, huge, "body-truncated").await;
}

#[tokio::test]
async fn d8_upgrade() {
    let alice = Signer::ed25519("alice");
    let settings =
        "policies: [{name: tunnel, match: {path: /tunnel}, upgrades: true}, {name: signed, match: {}}]";
    let relay = Relay::start(settings, &[&alice]).await;
    let upgraded = |path: &str| Ask::get(path).signed(&alice).header("upgrade", "websocket");
    denies(&relay, &upgraded("/"), "upgrade-refused").await;
    for connection in ["upgrade", "Upgrade", "keep-alive, UPGRADE", "keep-alive,upgrade"] {
        denies(&relay, &Ask::get("/").signed(&alice).header("connection", connection), "upgrade-refused")
            .await;
    }
    let mut extended = Ask::get("/").signed(&alice).check_request();
    add_line(&mut extended, ":protocol", "websocket");
    denies(&relay, extended, "upgrade-refused").await;
    let mut connect = Ask::new("CONNECT", "");
    connect.authority = "bank.example:22".to_owned();
    denies(&relay, &connect, "upgrade-refused").await;
    passes(&relay, &upgraded("/tunnel")).await;
    passes(&relay, &Ask::get("/").signed(&alice).header("connection", "keep-alive")).await;
}

#[tokio::test]
async fn d9_body_that_did_not_reach_the_check() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let unseen = |ask: Ask| Ask { body: None, ..ask }.signed(&alice);
    for ask in [
        unseen(Ask::new("POST", "/")),
        unseen(Ask::new("PUT", "/")),
        unseen(Ask::new("PATCH", "/")),
        unseen(Ask::post("/", BODY)),
        unseen(Ask::get("/").header("transfer-encoding", "chunked")),
        unseen(Ask::get("/").header("content-length", "5")),
    ] {
        let answer = denies(&relay, &ask, "body-unavailable").await;
        assert!(answer.body.contains("with_request_body"), "{answer:?}");
        assert_eq!(answer.status, 500);
    }
    let mut counted = Ask::get("/").signed(&alice).check_request();
    http(&mut counted).size = 5;
    denies(&relay, counted, "body-unavailable").await;
    // Neither a length nor the mark says that this is all.
    let mut unmarked = Ask::post("/", BODY).without("content-length").signed(&alice).check_request();
    passes(&relay, unmarked.clone()).await;
    remove_lines(&mut unmarked, MARK);
    denies(&relay, unmarked, "body-unavailable").await;
    passes(&relay, &unseen(Ask::new("POST", "/").header("content-length", "0"))).await;
}

#[tokio::test]
async fn d10_body_where_none_is_taken() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start("policies: [{name: signed, match: {}, proof: {body: none}}]", &[&alice]).await;
    denies(&relay, &Ask::post("/", BODY).signed(&alice), "request-malformed").await;
    denies(&relay, &Ask { body: None, ..Ask::post("/", BODY) }.signed(&alice), "body-unavailable").await;
    passes(&relay, &Ask::post("/", b"").signed(&alice)).await;
    passes(&relay, &Ask::get("/").signed(&alice)).await;
}
