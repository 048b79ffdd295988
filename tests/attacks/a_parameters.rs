//! A: parameters, component names and bytes that a base cannot hold.

use super::{SIGNED, denies, passes};
use crate::support::ask::{Ask, add_line, http, remove_lines, signing};
use crate::support::relay::Relay;
use crate::support::signer::Signer;

#[tokio::test]
async fn a6_parameters_in_an_order_of_the_clients_own() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let lines = ["\"@method\": GET", "\"@target-uri\": https://bank.example/accounts"];
    let signed = |params: &str| Ask::get("/accounts").signed_over(&alice, params, &lines);
    let components = "(\"@method\" \"@target-uri\")";
    for params in [
        ";keyid=\"alice\";created=1700000000",
        ";nonce=\"a6\";keyid=\"alice\";expires=1700000100;created=1700000000",
        // Parameters that nobody knows are part of what was signed.
        ";x-note=\"b\";created=1700000000;a;keyid=\"alice\";z=?0;d=1.5;t=a/b;bytes=:AAAA:",
    ] {
        passes(&relay, &signed(&format!("{components}{params}"))).await;
    }
    let params = ";created=1700000000;keyid=\"alice\";x-note=\"b\"";
    let honest = signed(&format!("{components}{params}"));
    for (old, new) in [
        (";x-note=\"b\"", ""),
        (";x-note=\"b\"", ";x-note=\"c\""),
        (";x-note=\"b\"", ";x-note=\"b\";more"),
        (params, ";keyid=\"alice\";created=1700000000;x-note=\"b\""),
        ("\"@method\" \"@target-uri\"", "\"@target-uri\" \"@method\""),
    ] {
        denies(&relay, &honest.clone().rewrite("signature-input", old, new), "signature-invalid").await;
    }
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a7_times_that_are_no_whole_seconds() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for time in [
        "=-1",
        "=-999999999999999",
        "=1700000000.0",
        "=\"1700000000\"",
        "=@1700000000",
        "=?1",
        "=soon",
        "=:AAAA:",
        "",
        "=1000000000000000",
        "=99999999999999999999999999",
        "=1e9",
        "=0x6553f100",
        "=",
        "=+1700000000",
        "=--1",
        "=1.",
    ] {
        let created = honest.clone().rewrite("signature-input", "=1700000000", time);
        denies(&relay, &created, "proof-malformed").await;
        let expires = format!(";expires{time};keyid");
        denies(&relay, &honest.clone().rewrite("signature-input", ";keyid", &expires), "proof-malformed")
            .await;
    }
    let far = honest.clone().rewrite("signature-input", "=1700000000", "=999999999999999");
    denies(&relay, &far, "proof-from-future").await;
    let long_ago = honest.clone().rewrite("signature-input", "=1700000000", "=0");
    denies(&relay, &long_ago, "proof-too-old").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a8_duplicate_parameter() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for twice in [
        ";created=1700000000",
        ";keyid=\"mallory\"",
        ";nonce=\"another\"",
        ";x;x",
        ";tag=\"a\";tag=\"a\"",
        ";alg=\"ed25519\";alg=\"ed25519\"",
        ";expires=1700000100;expires=1700000100",
    ] {
        let ask =
            honest.clone().replace("signature-input", format!("{}{twice}", honest.value("signature-input")));
        denies(&relay, &ask, "proof-malformed").await;
    }
    let component = honest.clone().rewrite("signature-input", "\"@method\"", "\"x\";key=\"a\";key=\"b\"");
    denies(&relay, &component, "proof-malformed").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a10_bytes_that_forge_lines() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let covering = signing("alice", &["@method", "@target-uri", "x-note"]);
    let honest = Ask::get("/accounts").header("x-note", "a\tb").signed_as(&alice, &covering);
    for byte in ["\n", "\r", "\r\n", "\0", "\x0b", "\x1b", "\x7f"] {
        // Without the check, `x-note: a` and a forged line would have one base.
        let with = |name: &str, value: String| {
            let mut check = honest.check_request();
            remove_lines(&mut check, name);
            add_line(&mut check, name, value);
            check
        };
        denies(&relay, with("x-note", format!("a{byte}\"@method\": DELETE")), "request-malformed").await;
        let input = honest.value("signature-input").replace("=\"alice", &format!("=\"alice{byte}"));
        denies(&relay, with("signature-input", input), "request-malformed").await;
        let lines = [format!("\"@method\": GET{byte}"), "\"@target-uri\": https://bank.example/".to_owned()];
        let params = "(\"@method\" \"@target-uri\");created=1700000000;keyid=\"alice\"";
        let signed = Ask::get("/").signed_over(&alice, params, &lines.each_ref().map(String::as_str));
        let mut method = signed.check_request();
        http(&mut method).method = format!("GET{byte}");
        remove_lines(&mut method, ":method");
        denies(&relay, method, "component-missing").await;
        denies(&relay, &Ask::get(&format!("/{byte}")), "path-ambiguous").await;
        let mut host = Ask::get("/");
        host.authority = format!("bank.example{byte}");
        denies(&relay, &host, "request-malformed").await;
    }
    let umlaut = honest.clone().rewrite("signature-input", "keyid=\"alice", "keyid=\"älice");
    denies(&relay, &umlaut, "proof-malformed").await;
    let tab = honest.clone().rewrite("signature-input", "keyid=\"alice", "keyid=\"\talice");
    denies(&relay, &tab, "proof-malformed").await;
    passes(&relay, &honest).await;
}

#[tokio::test]
async fn a11_component_name_in_another_spelling() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").header("x-note", "a").signed(&alice);
    for name in [
        "X-Note",
        " x-note",
        "x-note ",
        "x note",
        "",
        "x-note:",
        ":method",
        ":path",
        ":authority",
        "@Method",
        "@method ",
        " @method",
        "x(note)",
        "x\\\"note",
        "x\\\\note",
    ] {
        let spelled = format!("(\"{name}\" ");
        denies(&relay, &honest.clone().rewrite("signature-input", "(", &spelled), "proof-malformed").await;
    }
    passes(&relay, &honest).await;
    let covering = signing("alice", &["@method", "@target-uri", "x-note"]);
    passes(&relay, &Ask::get("/accounts").header("x-note", "a").signed_as(&alice, &covering)).await;
}

#[tokio::test]
async fn a12_signature_params_as_a_component() {
    let alice = Signer::ed25519("alice");
    let relay = Relay::start(SIGNED, &[&alice]).await;
    let honest = Ask::get("/accounts").signed(&alice);
    for component in ["\"@signature-params\"", "\"@signature-params\";sf"] {
        let listed = honest.clone().rewrite("signature-input", "(", &format!("({component} "));
        denies(&relay, &listed, "proof-malformed").await;
    }
    passes(&relay, &honest).await;
}
