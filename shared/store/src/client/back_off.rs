//! Delays before unprocessed items are sent again.

use std::time::Duration;

use crate::client::deadline::Deadline;

/// The maximum number of rounds, including the first.
const ROUNDS: u32 = 6;
/// The average delay before the second round. It doubles with each round.
const MEAN: Duration = Duration::from_millis(50);

/// The delays between the rounds of one request: exponential with jitter, at most 1.6 s in total on average.
#[derive(Debug)]
pub(crate) struct BackOff {
    rounds: u32,
    deadline: Option<Deadline>,
}

impl BackOff {
    /// Creates the delays for a request that has been sent once.
    pub(crate) fn new(deadline: Option<Deadline>) -> Self {
        Self { rounds: 1, deadline }
    }

    /// Waits before the next round. Returns false immediately if no rounds are left or the deadline is too close.
    pub(crate) async fn wait(&mut self) -> bool {
        if self.rounds == ROUNDS {
            return false;
        }
        // Jitter spreads the retries of requests that were throttled together.
        let time = (MEAN * 2u32.pow(self.rounds - 1)).mul_f64(rand::random_range(0.5..1.5));
        self.rounds += 1;
        if let Some(deadline) = self.deadline {
            return deadline.wait(time).await;
        }
        tokio::time::sleep(time).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn the_waits_are_bounded() {
        let began = Instant::now();
        let mut back_off = BackOff::new(None);
        let mut rounds = 1;
        while back_off.wait().await {
            rounds += 1;
        }
        assert_eq!(rounds, ROUNDS);
        let mean = MEAN * (2u32.pow(ROUNDS - 1) - 1);
        assert!((mean / 2..=mean * 3 / 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn no_wait_goes_past_the_deadline() {
        let began = Instant::now();
        let time = Duration::from_millis(200);
        let mut back_off = BackOff::new(Some(Deadline::after(time)));
        while back_off.wait().await {}
        assert!(began.elapsed() < time);
    }
}
