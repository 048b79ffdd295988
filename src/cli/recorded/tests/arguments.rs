//! The arguments of `explain` that name a record.

use clap::Parser as _;

use crate::cli::Failure;
use crate::cli::explain::ExplainArgs;
use crate::limits::Limits;
use crate::request::Body;

#[derive(clap::Parser)]
struct Explain {
    #[command(flatten)]
    args: ExplainArgs,
}

const RECORD: &str = "> POST / HTTP/1.1\n> Host: a.example\n> Content-Length: 2\n> \n";

fn parse(arguments: &[&str]) -> Result<ExplainArgs, clap::Error> {
    Explain::try_parse_from([&["explain"], arguments].concat()).map(|explain| explain.args)
}

#[test]
fn a_request_is_described_or_recorded() {
    assert!(parse(&["--url", "http://a.example/", "--method", "POST", "-H", "a: b"]).is_ok());
    assert!(parse(&["--recorded", "r", "--entry", "2", "--scheme", "https", "--body", "{}"]).is_ok());
    for wrong in [
        &[][..],
        &["--recorded", "r", "--url", "http://a.example/"],
        &["--recorded", "r", "--method", "GET"],
        &["--recorded", "r", "-H", "a: b"],
        &["--recorded", "r", "--scheme", "ftp"],
        &["--url", "http://a.example/", "--entry", "1"],
        &["--url", "http://a.example/", "--scheme", "http"],
    ] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_recorded_file_is_read_and_the_body_is_the_one_given() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), RECORD).unwrap();
    let name = file.path().to_str().unwrap();
    let ExplainArgs { url, recorded, parts, .. } =
        parse(&["--recorded", name, "--scheme", "https", "--body", "{}"]).ok().unwrap();
    let record = recorded.read(parts.body().ok().unwrap()).ok().unwrap().unwrap();
    let limits = Limits::default();
    let request = record.request(&limits).ok().unwrap().unwrap();
    assert_eq!((url, request.scheme, request.body), (None, "https", Body::Complete(b"{}")));

    let ExplainArgs { recorded, parts, .. } = parse(&["--recorded", "/nowhere"]).ok().unwrap();
    assert!(matches!(recorded.read(parts.body().ok().unwrap()), Err(Failure::Failed(_))));
    let ExplainArgs { recorded, .. } = parse(&["--url", "http://a.example/"]).ok().unwrap();
    assert!(matches!(recorded.read(None), Ok(None)));
}
