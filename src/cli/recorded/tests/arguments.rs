//! The arguments that name a record.

use clap::Parser as _;

use crate::cli::Failure;
use crate::cli::recorded::RecordedArgs;
use crate::cli::request::RequestParts;
use crate::limits::Limits;
use crate::request::Body;

/// A command that takes a request either way.
#[derive(clap::Parser)]
struct Either {
    #[arg(long, required_unless_present = "recorded")]
    url: Option<String>,
    #[command(flatten)]
    recorded: RecordedArgs,
    #[command(flatten)]
    parts: RequestParts,
}

const RECORD: &str = "> POST / HTTP/1.1\n> Host: a.example\n> Content-Length: 2\n> \n";

fn parse(arguments: &[&str]) -> Result<Either, clap::Error> {
    Either::try_parse_from([&["either"], arguments].concat())
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
    let Either { url, recorded, parts } =
        parse(&["--recorded", name, "--scheme", "https", "--body", "{}"]).ok().unwrap();
    let record = recorded.read(parts.body().ok().unwrap()).ok().unwrap().unwrap();
    let limits = Limits::default();
    let request = record.request(&limits).ok().unwrap().unwrap();
    assert_eq!((url, request.scheme, request.body), (None, "https", Body::Complete(b"{}")));

    let Either { recorded, parts, .. } = parse(&["--recorded", "/nowhere"]).ok().unwrap();
    assert!(matches!(recorded.read(parts.body().ok().unwrap()), Err(Failure::Failed(_))));
    let Either { recorded, .. } = parse(&["--url", "http://a.example/"]).ok().unwrap();
    assert!(matches!(recorded.read(None), Ok(None)));
}
