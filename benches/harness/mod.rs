//! Two ways to do one thing, measured against each other in one run.
//!
//! On a noisy machine a time means little and a ratio much: both contestants run in short batches,
//! in turn, and the fastest batch of each counts, since noise only ever adds.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs its work so many times and says how long that took, without the preparation.
pub(crate) type Batch<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// A batch without preparation. What `work` gives is kept from the optimiser.
pub(crate) fn batch<'a, T>(mut work: impl FnMut() -> T + 'a) -> Batch<'a> {
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(work());
        }
        start.elapsed()
    })
}

/// One line of the table.
pub(crate) struct Contest<'a> {
    pub(crate) item: &'static str,
    pub(crate) ours: Batch<'a>,
    pub(crate) floor: Batch<'a>,
    /// Largest ratio of ours to the floor that is good; `None` is for information.
    pub(crate) goal: Option<f64>,
}

/// How long to measure.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    batch: Duration,
    rounds: usize,
    /// How long a contest may take; one round is run in any case.
    most: Duration,
}

impl Effort {
    /// `cargo bench` passes `--bench`; everything else only wants to see that it runs.
    pub(crate) fn from_arguments() -> Self {
        if std::env::args().any(|argument| argument == "--bench") {
            Self {
                batch: Duration::from_micros(400),
                rounds: 300,
                most: Duration::from_secs(10),
            }
        } else {
            Self {
                batch: Duration::from_micros(1),
                rounds: 1,
                most: Duration::MAX,
            }
        }
    }
}

/// Measures every contest and prints the table. Times are never an error: a gate must not depend on
/// who else is using the machine.
pub(crate) fn run(title: &str, floor: &str, contests: Vec<Contest<'_>>) {
    let effort = Effort::from_arguments();
    println!("{title}\n");
    println!(
        "{:<44} {:>11} {:>11} {:>8} {:>7}  ",
        "item",
        "ours ns",
        format!("{floor} ns"),
        "ratio",
        "goal"
    );
    let mut missed = 0;
    for mut contest in contests {
        let (ours, floor) = measure(&mut contest, effort);
        let ratio = ours / floor;
        let (goal, verdict) = match contest.goal {
            None => ("-".into(), ""),
            Some(goal) if ratio <= goal => (format!("<= {goal}"), "met"),
            Some(goal) => (format!("<= {goal}"), "MISSED"),
        };
        missed += usize::from(verdict == "MISSED");
        println!(
            "{:<44} {ours:>11.1} {floor:>11.1} {ratio:>8.3} {goal:>7}  {verdict}",
            contest.item
        );
    }
    println!("\n{missed} missed\n");
}

/// Nanoseconds for one time of each, from the fastest batches.
fn measure(contest: &mut Contest<'_>, effort: Effort) -> (f64, f64) {
    let ours_times = calibrate(&mut contest.ours, effort);
    let floor_times = calibrate(&mut contest.floor, effort);
    let (mut ours, mut floor) = (f64::MAX, f64::MAX);
    let start = Instant::now();
    for round in 0..effort.rounds {
        if round > 0 && start.elapsed() > effort.most {
            break;
        }
        let mut run_ours = || ours = ours.min(each((contest.ours)(ours_times), ours_times));
        let mut run_floor = || floor = floor.min(each((contest.floor)(floor_times), floor_times));
        // Nobody always comes second.
        if round % 2 == 0 {
            run_ours();
            run_floor();
        } else {
            run_floor();
            run_ours();
        }
    }
    (ours, floor)
}

fn each(time: Duration, times: u32) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(times)
}

/// How many times fill a batch.
fn calibrate(batch: &mut Batch<'_>, effort: Effort) -> u32 {
    let mut times = 1;
    loop {
        let time = batch(times);
        if time >= effort.batch || times >= 1 << 24 {
            return times;
        }
        let factor = effort.batch.as_secs_f64() / time.as_secs_f64().max(1e-9);
        times = times.saturating_mul((factor as u32).clamp(2, 16));
    }
}
