//! Header lines that were sent twice, and bytes that are no text: what the relay sees of them depends on Envoy's
//! `encode_raw_headers`.

use super::{EVERYTHING, alice, get};
use crate::support::ask::Ask;
use crate::support::gateway::{Gateway, PROTOCOLS, assert_refused, assert_refused_saying};

const TWICE: &[&str] = &["@method", "@target-uri", "x-part"];
const AS_BYTES: &[&str] = &["@method", "@target-uri", "x-name;bs"];

async fn gateway(raw_headers: bool) -> Gateway {
    Gateway::start_with(EVERYTHING, &[&alice()], |setup| setup.raw_headers = raw_headers).await
}

fn two_parts() -> Ask {
    get("/").header("x-part", "a").header("x-part", "b")
}

#[tokio::test]
async fn raw_lines_of_one_name_are_verified_in_their_order() {
    let gateway = gateway(true).await;
    for protocol in PROTOCOLS {
        let signed = two_parts().signed_covering(&alice(), TWICE);
        let answer = gateway.send(protocol, &signed).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(gateway.last_received().header("x-part"), ["a", "b"]);

        let signed = two_parts().signed_covering(&alice(), TWICE);
        let swapped = signed.clone().without("x-part").header("x-part", "b").header("x-part", "a");
        assert_refused(&gateway.send(protocol, &swapped).await, 401, "signature-invalid");
        let added = signed.clone().header("x-part", "c");
        assert_refused(&gateway.send(protocol, &added).await, 401, "signature-invalid");
    }
}

#[tokio::test]
async fn merged_lines_of_one_name_are_refused_where_they_are_covered() {
    let gateway = gateway(false).await;
    for protocol in PROTOCOLS {
        let answer = gateway.send(protocol, &two_parts().signed_covering(&alice(), TWICE)).await;
        assert_refused_saying(&answer, 401, "component-missing", "encode_raw_headers");
        gateway.assert_untouched();
    }
    let answer = gateway.http1(&two_parts().signed(&alice())).await;
    assert_eq!(answer.status, 200, "uncovered, they concern nobody: {}", answer.text());

    let one_line = get("/").header("x-part", "a, b").signed_covering(&alice(), TWICE);
    let answer = gateway.http1(&one_line).await;
    assert_eq!(answer.status, 200, "Envoy joined nothing here: {}", answer.text());
}

#[tokio::test]
async fn a_signature_in_two_lines_is_one_signature_in_both_encodings() {
    for raw_headers in [true, false] {
        let gateway = gateway(raw_headers).await;
        let bob = super::bob();
        let ask = get("/").signed(&alice());
        // A second signer, whom this relay does not know, in lines of its own.
        let other = get("/").signed(&bob);
        let ask = ask
            .header("signature-input", other.value("signature-input"))
            .header("signature", other.value("signature"));
        let answer = gateway.http1(&ask).await;
        assert_refused(&answer, 401, "key-unknown");
        gateway.assert_untouched();
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_pass_where_nothing_covers_them() {
    for raw_headers in [true, false] {
        let gateway = gateway(raw_headers).await;
        for protocol in PROTOCOLS {
            let ask = get("/").header("x-name", b"caf\xe9").signed(&alice());
            let answer = gateway.send(protocol, &ask).await;
            assert_eq!(answer.status, 200, "{protocol:?}, raw {raw_headers}: {}", answer.text());
            let received = gateway.last_received();
            let value = received.headers.iter().find(|(name, _)| name == "x-name").map(|(_, value)| value);
            assert_eq!(value.unwrap(), b"caf\xe9");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_can_be_covered_as_bytes_only() {
    let raw = gateway(true).await;
    let merged = gateway(false).await;
    for protocol in PROTOCOLS {
        let ask = get("/").header("x-name", b"caf\xe9").signed_covering(&alice(), AS_BYTES);
        let answer = raw.send(protocol, &ask).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_refused(&raw.send(protocol, &ask.replace("x-name", "cafe")).await, 401, "signature-invalid");

        let ask = get("/").header("x-name", b"caf\xe9").signed_covering(&alice(), AS_BYTES);
        let answer = merged.send(protocol, &ask).await;
        assert_refused_saying(&answer, 401, "component-missing", "encode_raw_headers");
    }
    merged.assert_untouched();
}

/// Merged, Envoy shows `a!b` for a forwarded `a\xffb`.
#[tokio::test]
async fn a_signed_exclamation_mark_never_stands_for_another_byte() {
    let cover = &["@method", "@target-uri", "x-name"];
    let signed = || get("/").header("x-name", "a!b").signed_covering(&alice(), cover);
    let forged = || signed().replace("x-name", b"a\xffb");

    let raw = gateway(true).await;
    let answer = raw.http1(&forged()).await;
    assert_refused_saying(&answer, 401, "component-missing", ";bs");
    raw.assert_untouched();
    let answer = raw.http1(&signed()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let merged = gateway(false).await;
    for ask in [signed(), forged()] {
        let answer = merged.http1(&ask).await;
        assert_refused_saying(&answer, 401, "component-missing", "encode_raw_headers");
    }
    merged.assert_untouched();
}

#[tokio::test]
async fn a_covered_header_of_which_there_may_be_one_is_refused_twice() {
    let gateway = gateway(true).await;
    let cover = &["@method", "@target-uri", "idempotency-key"];
    let two_lines =
        get("/").header("idempotency-key", "\"a\"").header("idempotency-key", "\"b\"").signed(&alice());
    let answer = gateway.http1(&two_lines).await;
    assert_eq!(answer.status, 200, "uncovered: {}", answer.text());

    let one_line = get("/").header("idempotency-key", "\"a\", \"b\"").signed_covering(&alice(), cover);
    let split = one_line
        .without("idempotency-key")
        .header("idempotency-key", "\"a\"")
        .header("idempotency-key", "\"b\"");
    assert_refused(&gateway.http1(&split).await, 401, "component-missing");
}

/// Over HTTP/2 a line may begin with a space, and Envoy keeps it: joined, the two look like the one that was signed.
#[tokio::test]
async fn a_signed_line_split_before_a_space_is_refused_in_both_encodings() {
    for raw_headers in [true, false] {
        let gateway = gateway(raw_headers).await;
        let cover = &["@method", "@target-uri", "idempotency-key"];
        let one_line = get("/").header("idempotency-key", "a, b").signed_covering(&alice(), cover);
        let split = one_line
            .without("idempotency-key")
            .header("idempotency-key", "a")
            .header("idempotency-key", " b");
        assert_refused(&gateway.http2(&split).await, 401, "component-missing");
    }
}

/// Some names Envoy joins in every mode, with a comma and no space. The backend gets what the relay has seen: one line.
#[tokio::test]
async fn lines_that_envoy_itself_joins_are_verified_as_the_backend_gets_them() {
    for raw_headers in [true, false] {
        let gateway = gateway(raw_headers).await;
        let cover = &["@method", "@target-uri", "accept"];
        let two_lines = get("/").header("accept", "a/a").header("accept", "b/b");
        let answer = gateway.http1(&two_lines.clone().signed(&alice())).await;
        assert_eq!(answer.status, 200, "uncovered: {}", answer.text());
        assert_eq!(gateway.last_received().header("accept"), ["a/a,b/b"]);

        let answer = gateway.http1(&two_lines.signed_covering(&alice(), cover)).await;
        let code = if raw_headers { "signature-invalid" } else { "component-missing" };
        assert_refused(&answer, 401, code);
    }
}
