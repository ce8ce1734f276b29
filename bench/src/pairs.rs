//! Samples of an interleaved run, and what is said of them: median and spread.

use std::time::Duration;

/// Values of one kind, one a slice.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one; what is no number is left out.
    pub fn push(&mut self, value: f64) {
        if value.is_finite() {
            self.0.push(value);
        }
    }

    /// The middle one; not a number if there is none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    /// The lowest and the highest, with so many decimals.
    pub fn spread(&self, decimals: usize) -> String {
        let low = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{low:.decimals$}–{high:.decimals$} ({} slices)", self.0.len())
    }
}

/// Requests, the time they took, and the processor time that a process spent on them, over all slices of one side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Requests a second of each slice.
    pub rates: Samples,
    requests: u64,
    cpu: Duration,
}

impl Side {
    /// Adds a slice; its rate in requests a second.
    pub fn add(&mut self, requests: u64, elapsed: Duration, cpu: Duration) -> f64 {
        let rate = requests as f64 / elapsed.as_secs_f64();
        self.rates.push(rate);
        self.requests += requests;
        self.cpu += cpu;
        rate
    }

    /// Processor time a request, in µs, over all slices.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread() {
        let mut samples = Samples::default();
        for value in [3.0, 1.0, f64::NAN, 2.0] {
            samples.push(value);
        }
        assert_eq!(samples.median(), 2.0);
        assert_eq!(samples.spread(1), "1.0–3.0 (3 slices)");
        samples.push(5.0);
        assert_eq!(samples.median(), 2.5);
    }
}
