//! How benchmarks measure.
//!
//! The machine's speed changes from moment to moment, by more than the differences that are looked for. So the subjects
//! take turns of one run each, and medians over thousands of turns are compared.

use std::hint::black_box;
use std::time::{Duration, Instant};

const TURNS: usize = 5000;
/// What takes less than this is run several times a turn, since the clock is not that fine.
const SHORTEST: Duration = Duration::from_micros(20);

/// Something to measure, and how often it ran in how long, turn by turn.
pub struct Subject<'a> {
    name: &'static str,
    run: Box<dyn Fn() + 'a>,
    runs_a_turn: u32,
    turns: Vec<f64>,
}

impl<'a> Subject<'a> {
    pub fn new<R>(name: &'static str, run: impl Fn() -> R + 'a) -> Self {
        let run = Box::new(move || drop(black_box(run())));
        Self { name, run, runs_a_turn: 1, turns: Vec::with_capacity(TURNS) }
    }

    fn turn(&self) -> Duration {
        let started = Instant::now();
        for _ in 0..self.runs_a_turn {
            (self.run)();
        }
        started.elapsed()
    }

    fn warm_up(&mut self) {
        while self.turn() < SHORTEST {
            self.runs_a_turn *= 2;
        }
    }

    fn measure(&mut self) {
        self.turns.push(self.turn().as_secs_f64() * 1e6 / f64::from(self.runs_a_turn));
    }
}

/// Lets the subjects take turns, prints the median of each in µs, and returns them.
pub fn medians<const N: usize>(title: &str, subjects: &mut [Subject<'_>; N]) -> [f64; N] {
    subjects.iter_mut().for_each(Subject::warm_up);
    for _ in 0..TURNS {
        subjects.iter_mut().for_each(Subject::measure);
    }
    println!("{title}: the median of {TURNS} turns");
    subjects.each_mut().map(|subject| {
        let median = median(std::mem::take(&mut subject.turns));
        println!("  {:<28} {median:>8.2} µs", subject.name);
        median
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
