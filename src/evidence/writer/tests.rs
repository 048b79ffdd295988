//! Every operation of the medium is made to fail once, in every way that it can.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::*;
use crate::crypto::{Algorithm, PrivateKey};
use crate::evidence::appender::Medium;
use crate::evidence::decided::Losses;
use crate::evidence::line::{Line, RecordLine};
use crate::evidence::merkle::CompactRange;
use crate::evidence::note::Signer;
use crate::timestamp::{SystemClock, Timestamp};

const NAME: &str = "bank.example/relay";

/// How the operation fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing is done.
    Error,
    /// A write stops half-way, and the rest of it fails.
    Short,
    /// The write is done, and reported as failed all the same.
    DoneButFailed,
}

/// A medium of this process, with one fault.
struct Faulty {
    bytes: Arc<Mutex<Vec<u8>>>,
    operations: Arc<Mutex<usize>>,
    fails: usize,
    fault: Fault,
    short: bool,
}

impl Faulty {
    fn fails_now(&self) -> bool {
        let mut operations = self.operations.lock().unwrap();
        *operations += 1;
        *operations - 1 == self.fails
    }
}

fn full() -> io::Error {
    ErrorKind::StorageFull.into()
}

impl Medium for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fails = self.fails_now();
        if std::mem::take(&mut self.short) {
            return Err(full());
        }
        let length = match self.fault {
            _ if !fails => bytes.len(),
            Fault::Error => 0,
            Fault::Short => bytes.len() / 2,
            Fault::DoneButFailed => bytes.len(),
        };
        self.bytes.lock().unwrap().extend(&bytes[..length]);
        match self.fault {
            Fault::Short if fails => {
                self.short = true;
                Ok(length)
            }
            _ if fails => Err(full()),
            _ => Ok(length),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.fails_now() { Err(full()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.fails_now() {
            return Err(full());
        }
        self.bytes.lock().unwrap().truncate(length.try_into().unwrap());
        Ok(())
    }
}

fn writer(medium: Faulty, durability: Durability) -> Writer {
    let key = PrivateKey::from_bytes(Algorithm::Ed25519, &[7; 32]).unwrap();
    let signer = Signer::new(NAME, key).unwrap();
    let provenance = Provenance { log: NAME.into(), instance: "here".into(), redact: Vec::new() };
    Writer {
        log: Log::new(signer, NAME.into(), CompactRange::starting_at(0), 0),
        sink: Sink { appender: Appender::new(medium, 0), file: None },
        durability,
        pace: Pace { records: 4, interval: Duration::from_hours(1) },
        provenance: Arc::new(provenance),
        clock: Arc::new(SystemClock),
        outbound: None,
        witnesses: None,
        sealed_at: Instant::now(),
        looked_at: Instant::now(),
        counters: Arc::default(),
    }
}

fn entry(name: &str) -> (Entry, oneshot::Receiver<Result<(), Unavailable>>) {
    let (done, answer) = oneshot::channel();
    let evidence = format!("{{\"id\":\"{name}\"}}").into_bytes();
    let hash = leaf_hash(&evidence);
    (Entry { evidence, hash, done }, answer)
}

/// The names of the records, after every line, hash, index and root was checked.
fn read(bytes: &[u8]) -> Vec<String> {
    let mut tree = CompactRange::starting_at(0);
    let mut names = Vec::new();
    for line in std::str::from_utf8(bytes).unwrap().lines() {
        match Line::read(line).unwrap() {
            Line::Record(RecordLine { evidence, hash, index }) => {
                assert_eq!((hash, index), (Some(leaf_hash(evidence.as_bytes())), Some(tree.end())), "{line}");
                tree.push(leaf_hash(evidence.as_bytes()));
                let record: serde_json::Value = serde_json::from_str(evidence).unwrap();
                names.push(record.get("id").unwrap_or(&record["type"]).as_str().unwrap().to_owned());
            }
            Line::Checkpoint(checkpoint) => {
                let note = crate::evidence::note::Note::parse(checkpoint.note.as_bytes()).unwrap();
                let sealed: crate::evidence::checkpoint::Checkpoint = note.text().parse().unwrap();
                assert_eq!((sealed.size(), *sealed.root()), (tree.end(), tree.root()), "{line}");
            }
            Line::Foreign => panic!("{line}"),
        }
    }
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    names
}

/// Writes a few batches, and returns how many operations that took.
fn run(fails: usize, fault: Fault, durability: Durability) -> usize {
    let (bytes, operations) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let medium =
        Faulty { bytes: Arc::clone(&bytes), operations: Arc::clone(&operations), fails, fault, short: false };
    let mut writer = writer(medium, durability);
    let queue = Queue::default();
    let (mut expected, mut failed) = (Vec::new(), 0);
    for batch in 0..5 {
        let names: Vec<String> = (0..3).map(|at| format!("{batch}-{at}")).collect();
        let (entries, answers): (Vec<_>, Vec<_>) = names.iter().map(|name| entry(name)).unzip();
        let losses = queue.take_now().losses;
        let lost = losses.is_some();
        let seal = if batch == 4 { Seal::Now } else { Seal::WhenDue };
        writer.write(Work { entries, losses, ..Work::default() }, seal, &queue);
        let results: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect();
        if results.iter().all(Result::is_ok) {
            expected.extend(lost.then(|| "lost".to_owned()));
            expected.extend(names);
        } else {
            // All or nothing.
            assert!(results.iter().all(|result| *result == Err(Unavailable::Failed)), "{results:?}");
            failed += 1;
            queue.lose(Losses::one(false, "0".repeat(64).into(), Timestamp::from_unix_seconds(1)));
        }
    }
    // What failed last may still stand there: it is cut off before the next bytes, or set aside at the next start.
    let written = bytes.lock().unwrap().clone();
    let whole = writer.sink.appender.length().try_into().unwrap_or(usize::MAX).min(written.len());
    assert_eq!(read(&written[..whole]), expected, "{fault:?} in operation {fails}");
    let operations = *operations.lock().unwrap();
    assert!(failed <= 2, "{fault:?} in operation {fails}: {failed} batches failed");
    assert_eq!(failed == 0, fails >= operations, "{fails} {fault:?}");
    operations
}

#[test]
fn no_fault_of_the_medium_loses_a_record_that_was_answered_or_leaves_one_that_was_not() {
    for durability in [Durability::Written, Durability::Synced] {
        let operations = run(usize::MAX, Fault::Error, durability);
        assert!(operations >= 5, "{operations}");
        for fails in 0..operations {
            for fault in [Fault::Error, Fault::Short, Fault::DoneButFailed] {
                run(fails, fault, durability);
            }
        }
    }
}

#[test]
fn a_medium_that_can_not_be_mended_either_is_not_written_before_it_is() {
    // The write fails half-way, and so do the operations after it: mending twice, among them.
    struct Dead(Faulty);
    impl Medium for Dead {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn sync(&mut self) -> io::Result<()> {
            self.0.sync()
        }
        fn cut(&mut self, length: u64) -> io::Result<()> {
            if *self.0.operations.lock().unwrap() < 4 {
                *self.0.operations.lock().unwrap() += 1;
                return Err(full());
            }
            self.0.cut(length)
        }
    }
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let faulty = Faulty {
        bytes: Arc::clone(&bytes),
        operations: Arc::default(),
        fails: 1,
        fault: Fault::Short,
        short: false,
    };
    let mut appender = Appender::new(Dead(faulty), 0);
    appender.append(b"one\n", false).unwrap();
    assert!(appender.append(b"two\n", false).is_err());
    assert_eq!(*bytes.lock().unwrap(), b"one\ntw");
    while appender.append(b"three\n", false).is_err() {}
    assert_eq!(*bytes.lock().unwrap(), b"one\nthree\n");
}

/// A medium on which every operation fails.
struct Full;

impl Medium for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(full())
    }
    fn sync(&mut self) -> io::Result<()> {
        Err(full())
    }
    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(full())
    }
}

#[test]
fn the_thread_is_told_that_nothing_can_be_written_for_as_long_as_that_is_so() {
    let mut failing = writer(
        Faulty {
            bytes: Arc::default(),
            operations: Arc::default(),
            fails: 0,
            fault: Fault::Error,
            short: false,
        },
        Durability::Written,
    );
    failing.sink.appender = Appender::new(Full, 0);
    let counters = Arc::clone(&failing.counters);
    let (failing, queue) = (Mutex::new(failing), Queue::default());
    for _ in 0..3 {
        let (entry, mut answer) = entry("one");
        assert!(queue.push(entry).is_ok());
        Writer::write_here(&failing, &queue);
        assert_eq!(answer.try_recv().unwrap(), Err(Unavailable::Failed));
        // Another takes what told the thread.
        assert!(queue.take_now().due);
        // That it has nothing to write shows nothing.
        Writer::write_here(&failing, &queue);
        assert!(queue.take_now().due && counters.is_failing());
    }
    // One that looks writes a checkpoint, so that it sees.
    failing.lock().unwrap().write(Work::default(), Seal::WhenDue, &queue);
    assert_eq!(counters.read(0).failures, 4);
    let (bytes, operations) = (Arc::default(), Arc::default());
    let mended = Faulty {
        bytes: Arc::clone(&bytes),
        operations,
        fails: usize::MAX,
        fault: Fault::Error,
        short: false,
    };
    failing.lock().unwrap().sink.appender = Appender::new(mended, 0);
    failing.lock().unwrap().write(Work::default(), Seal::WhenDue, &queue);
    assert!(!counters.is_failing());
    assert!(read(&bytes.lock().unwrap()).is_empty() && !bytes.lock().unwrap().is_empty());
}
