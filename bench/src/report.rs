//! The page of results.

use std::fmt::Write;

/// One line of the table.
pub struct Row {
    /// What is measured.
    pub figure: String,
    /// The median, or the count.
    pub measured: String,
    /// The lowest and highest.
    pub spread: String,
    /// Worker CPU, µs a request, of each side.
    pub cpu: String,
    /// What is to be reached, and whether it is; none where there is nothing to reach.
    pub reach: Option<(String, bool)>,
}

impl Row {
    /// For a figure that could not be measured; what was wrong is on standard error.
    pub fn failed(name: &str) -> Self {
        let dash = || "–".to_owned();
        Self {
            figure: name.to_owned(),
            measured: "failed".to_owned(),
            spread: dash(),
            cpu: dash(),
            reach: Some((dash(), false)),
        }
    }
}

/// All that a run found.
pub struct Report {
    machine: String,
    rows: Vec<Row>,
    notes: Vec<String>,
    costs: Vec<String>,
    /// The load average before and after each figure.
    pub loads: Vec<String>,
}

impl Report {
    /// An empty one of this machine.
    pub fn new(machine: String) -> Self {
        Self { machine, rows: Vec::new(), notes: Vec::new(), costs: Vec::new(), loads: Vec::new() }
    }

    /// Adds a line to the table.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a line below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Adds to the section on where the time goes.
    pub fn cost(&mut self, text: String) {
        self.costs.push(text);
    }

    /// The page.
    pub fn markdown(&self) -> String {
        let mut text = "# Results of `make bench`\n\n\
             Written by the run. Each figure is the median of slices that alternate between its two sides (A B A B …),\n\
             with the lowest and the highest; worker CPU is utime + stime of the nginx worker over all its requests, first of\n\
             what it is compared with, then of ours. Nothing here is asserted: machines drift, so compare ratios, and CPU.\n\n"
            .to_owned();
        let _ = write!(
            text,
            "Machine: {}  \nLoad average before → after: {}\n\n",
            self.machine,
            self.loads.join("; ")
        );
        text += "| figure | measured | spread | worker CPU µs/request | reach | reached |\n|---|---|---|---|---|---|\n";
        for row in &self.rows {
            let (reach, reached) = match &row.reach {
                Some((reach, true)) => (reach.as_str(), "yes"),
                Some((reach, false)) => (reach.as_str(), "**no**"),
                None => ("–", "–"),
            };
            let Row { figure, measured, spread, cpu, .. } = row;
            let _ = writeln!(text, "| {figure} | {measured} | {spread} | {cpu} | {reach} | {reached} |");
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "* {note}");
        }
        if !self.costs.is_empty() {
            let _ = write!(text, "\n## What costs it\n\n{}\n", self.costs.join("\n\n"));
        }
        text
    }
}
