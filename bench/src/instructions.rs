//! Instructions of handlers, counted by valgrind: the same in every run, whatever the load of the machine.

use std::error::Error;
use std::process::Command;

use crate::families::Sender;
use crate::figures::Figures;
use crate::handler::Function;

/// Calls of the shorter and of the longer run. Their difference leaves out the start of the process.
const TIMES: (u64, u64) = (5, 25);

/// Counts instructions if valgrind is installed.
pub(crate) fn measure(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("bench: valgrind is not installed, so instructions are not counted (`apt-get install valgrind`)");
        return Ok(());
    }
    for function in [Function::Ingest, Function::Aggregate] {
        for events in [1, 100] {
            let what = format!("{}, an event of {events} in a call", function.as_str());
            figures.add(what, "instructions", of_a_call(function, Sender::Native, events)? / f64::from(events));
        }
    }
    // Of client libraries, as they send: batches, and single events.
    for (sender, events) in [(Sender::Native, 512), (Sender::Otlp, 512), (Sender::Otlp, 1), (Sender::Sentry, 1)] {
        let what = format!("ingest of {}, an event of {events} in a call", sender.as_str());
        figures.add(what, "instructions", of_a_call(Function::Ingest, sender, events)? / f64::from(events));
    }
    Ok(())
}

/// Instructions of one call.
fn of_a_call(function: Function, sender: Sender, events: u32) -> Result<f64, Box<dyn Error>> {
    let (few, many) = (run(function, sender, events, TIMES.0)?, run(function, sender, events, TIMES.1)?);
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let calls = (TIMES.1 - TIMES.0) as f64;
    #[allow(clippy::cast_precision_loss)]
    Ok(many.saturating_sub(few) as f64 / calls)
}

/// Instructions of one process.
fn run(function: Function, sender: Sender, events: u32, times: u64) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["handler", function.as_str(), "--sender", sender.as_str()])
        .args(["--events", &events.to_string(), "--times", &times.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind failed: {said}").into());
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.ok_or_else(|| format!("valgrind printed no count: {said}").into())
}
