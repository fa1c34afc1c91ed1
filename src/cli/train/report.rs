//! What a run ended with.

use std::time::Duration;

use schur::train::Epoch;
use serde_json::{Value, json};

use crate::cli::terminal::{count, duration, table};

/// About how many epochs the table shows.
const LINES: usize = 20;

pub(super) struct Report<'a> {
    pub(super) model: &'a str,
    pub(super) target: &'a str,
    pub(super) steps_an_epoch: u64,
    pub(super) untrained: f64,
    pub(super) epochs: Vec<Epoch>,
    pub(super) error: f64,
    pub(super) rotated: f64,
    pub(super) rows_per_second: f64,
    pub(super) time: Duration,
}

impl Report<'_> {
    pub(super) fn to_text(&self) -> String {
        let (last, stride) = (self.epochs.len(), self.epochs.len().div_ceil(LINES).max(1));
        let shown = self.epochs.iter().zip(1..).filter(|(_, k)| k % stride == 0 || *k == 1 || *k == last);
        let lines = shown.map(|(Epoch { loss, error }, k)| {
            [count(k), count(k * self.steps_an_epoch as usize), format!("{loss:.5}"), format!("{error:.4}")]
        });
        let start = [count(0), count(0), "-".to_owned(), format!("{:.4}", self.untrained)];
        format!(
            " {}: {}\n\n{}\n test RMSE {:.6}, rotated {:.6} (apart by {:.1e})\n trained in {}: {} rows/s\n",
            self.model,
            self.target,
            table(["epoch", "steps", "training loss", "test RMSE"], 0, [start].into_iter().chain(lines)),
            self.error,
            self.rotated,
            (self.rotated - self.error).abs(),
            duration(self.time),
            count(self.rows_per_second as usize),
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let epoch = |epoch: &Epoch| json!({ "loss": epoch.loss, "test_rmse": epoch.error });
        json!({
            "name": self.model,
            "target": self.target,
            "steps_an_epoch": self.steps_an_epoch,
            "untrained_test_rmse": self.untrained,
            "epochs": self.epochs.iter().map(epoch).collect::<Vec<_>>(),
            "test_rmse": self.error,
            "rotated_test_rmse": self.rotated,
            "seconds": self.time.as_secs_f64(),
            "rows_per_second": self.rows_per_second,
        })
    }
}
