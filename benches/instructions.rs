//! Runs one case so many times, for a tool that counts instructions (`scripts/instructions.sh`):
//!
//! ```text
//! instructions                 the cases of this machine, each with its number of steps
//! instructions CASE STEPS      does the work
//! ```
//!
//! The count of a run with twice the steps less that of one with the steps is what the steps cost:
//! starting, loading and ending are the same in both.

mod cases;

use std::process::ExitCode;

fn main() -> ExitCode {
    // `cargo bench` adds a flag.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let mut cases = cases::all();
    let [name, steps] = arguments.as_slice() else {
        for case in cases {
            println!("{} {}", case.name, case.steps);
        }
        return ExitCode::SUCCESS;
    };
    let found = cases.iter().position(|case| case.name == *name);
    let (Some(found), Ok(steps)) = (found, steps.parse::<usize>()) else {
        eprintln!("instructions: no case {name} on this machine, or {steps} is no number");
        return ExitCode::from(2);
    };
    let mut step = (cases.swap_remove(found).begin)();
    for _ in 0..steps {
        step();
    }
    ExitCode::SUCCESS
}
