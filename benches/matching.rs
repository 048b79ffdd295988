//! What it costs to find the policy of a request among ten policies, and among a thousand: `cargo bench`.
//!
//! `cargo bench -- --check` fails where a thousand cost more than twice as much as ten.
#![allow(clippy::disallowed_methods)] // a benchmark reads the clock

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use proof_messenger_relay::config::Config;
use proof_messenger_relay::policy::{Policies, Target};
use proof_messenger_relay::request::Request;

use support::{Subject, medians};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const GOAL: f64 = 2.0;

/// The match of the policy of that number.
type Shape = fn(usize) -> String;

/// Ways in which policies differ from each other.
const SHAPES: [(&str, Shape); 3] = [
    ("one path each", |at| format!("hosts: [bank.example], path: '/service-{at}/transfers/{{account}}'")),
    ("one host each", |at| format!("hosts: [tenant-{at}.bank.example], path: '/transfers/{{account}}'")),
    ("one of many methods, hosts and paths each", |at| {
        let method = ["GET", "POST", "PUT"][at % 3];
        let (host, path) = (at % 25, at / 25);
        format!("methods: [{method}], hosts: [h{host}.bank.example], path: '/v1/{{tenant}}/r{path}/{{id}}'")
    }),
];

fn policies(count: usize, shape: Shape) -> Policies {
    let mut text = String::from("policies:\n");
    for at in 0..count {
        writeln!(text, "  - {{name: p{at}, match: {{{}}}}}", shape(at)).unwrap();
    }
    Config::parse(&text, "the benchmark", Path::new("")).unwrap().policies
}

/// A request for the last policy: whoever looks at one after the other finds it last.
fn last<'a>(count: usize, at: usize, texts: &'a mut (String, String)) -> Request<'a> {
    let number = count - 1;
    let method = match at {
        2 => ["GET", "POST", "PUT"][number % 3],
        _ => "POST",
    };
    *texts = match at {
        0 => ("bank.example".into(), format!("/service-{number}/transfers/7")),
        1 => (format!("tenant-{number}.bank.example"), "/transfers/7".into()),
        _ => (format!("h{}.bank.example", number % 25), format!("/v1/acme/r{}/7", number / 25)),
    };
    Request::new(method, "https", &texts.0, &texts.1)
}

fn main() -> ExitCode {
    let mut exit = ExitCode::SUCCESS;
    for (at, (name, shape)) in SHAPES.into_iter().enumerate() {
        let (ten, thousand) = (policies(10, shape), policies(1000, shape));
        let (mut few, mut many) = Default::default();
        let of_ten = Target::of(&last(10, at, &mut few)).unwrap();
        let of_thousand = Target::of(&last(1000, at, &mut many)).unwrap();
        assert_eq!(&*ten.matching(&of_ten, None).next().unwrap().name, "p9");
        assert_eq!(&*thousand.matching(&of_thousand, None).next().unwrap().name, "p999");
        let mut subjects = [
            Subject::new("10 policies", || ten.matching(&of_ten, None).next().map(|policy| policy.mode)),
            Subject::new("1,000 policies", || {
                thousand.matching(&of_thousand, None).next().map(|policy| policy.mode)
            }),
        ];
        let [few, many] = medians(name, &mut subjects);
        let ratio = many / few;
        println!("  {:<28} {ratio:>8.3}\n", "1,000 / 10");
        if ratio > GOAL && std::env::args().any(|argument| argument == "--check") {
            eprintln!("{name}: the ratio is {ratio:.3}, above the goal of {GOAL}");
            exit = ExitCode::FAILURE;
        }
    }
    exit
}
