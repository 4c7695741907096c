//! What a run has done so far: rows of figures, and its table for people and spreadsheets.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::metric::{Metrics, Running};
use crate::recipe::{EarlyStopping, StopMetric};

/// The figures of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Seconds since the start of the run, interruptions left out.
    pub seconds: f64,
    /// Mean training loss over the epoch's batches, with label smoothing.
    pub train_loss: f64,
    /// Share of augmented training pictures recognised, 0 to 1; of one mixed of two, that with the greater share counts.
    pub train_top1: f64,
    /// Accuracy on the monitored set, 0 to 1, if there is one.
    pub top1: Option<f64>,
    /// The same among the five greatest.
    pub top5: Option<f64>,
    /// Mean loss on the monitored set.
    pub loss: Option<f64>,
    /// Mean intersection over union on the monitored set, where pictures have masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miou: Option<f64>,
    /// Mean over the epoch's batches of the regulariser's term of the loss (which `train_loss` is without), where the
    /// recipe has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ortho: Option<f64>,
    /// Learning rate of the epoch's last step.
    pub lr: f64,
    /// Training pictures of the epoch that could not be read.
    pub skipped: u64,
    /// Training pictures a second, validation left out; 0 in runs of versions that did not keep it.
    #[serde(default)]
    pub images_per_second: f64,
    /// Share of the training time that steps waited for pictures, 0 to 1.
    #[serde(default)]
    pub waited: f64,
}

impl EpochRow {
    pub(crate) fn new(
        epoch: usize,
        seconds: f64,
        train: &Running,
        ortho: bool,
        monitored: Option<&Metrics>,
        lr: f64,
        skipped: u64,
    ) -> Self {
        Self {
            epoch,
            seconds,
            train_loss: train.loss(),
            train_top1: train.accuracy(),
            ortho: ortho.then(|| train.ortho()),
            top1: monitored.map(|m| m.top1),
            top5: monitored.map(|m| m.top5),
            loss: monitored.map(|m| m.loss),
            miou: monitored.and_then(Metrics::miou),
            lr,
            skipped,
            images_per_second: 0.0,
            waited: 0.0,
        }
    }
}

/// The epoch whose weights are kept as the best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Its accuracy on the validation set, 0 to 1.
    pub top1: f64,
    /// Its loss there.
    pub loss: f64,
    /// Its mean intersection over union there, where pictures have masks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miou: Option<f64>,
}

impl Best {
    pub(crate) fn new(epoch: usize, metrics: &Metrics) -> Self {
        Self { epoch, top1: metrics.top1, loss: metrics.loss, miou: metrics.miou() }
    }

    /// Whether `metrics` are at least as good: the accuracy counts, of pixels the mean intersection over union; among equals
    /// the lower loss, and then the later.
    pub(crate) fn yields_to(&self, metrics: &Metrics) -> bool {
        let (now, best) = (metrics.miou().unwrap_or(metrics.top1), self.miou.unwrap_or(self.top1));
        match now.total_cmp(&best) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => metrics.loss <= self.loss,
            std::cmp::Ordering::Less => false,
        }
    }
}

impl EarlyStopping {
    /// Whether the last `patience` epochs brought no improvement. It goes by the rows alone, so that a resumed run ends
    /// where the uninterrupted one would have.
    pub(crate) fn is_over(&self, history: &[EpochRow]) -> bool {
        let figure = |row: &EpochRow| match self.metric {
            StopMetric::Top1 => row.miou.or(row.top1),
            StopMetric::Top5 => row.top5,
            StopMetric::Loss => row.loss.map(|loss| -loss),
        };
        let (mut best, mut since) = (f64::NEG_INFINITY, 0);
        for value in history.iter().filter_map(figure) {
            if value > best + self.min_delta {
                (best, since) = (value, 0);
            } else {
                since += 1;
            }
        }
        since >= self.patience
    }
}

/// Writes the rows as CSV, with the column names that tools for such tables know.
pub(crate) fn write_csv(rows: &[EpochRow], w: &mut dyn Write) -> io::Result<()> {
    writeln!(
        w,
        "epoch,time,train/loss,metrics/accuracy_top1,metrics/accuracy_top5,val/loss,lr/pg0,train/ortho,\
         train/accuracy_top1,images_per_second,waited,metrics/miou"
    )?;
    let cell = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
    for row in rows {
        let (top1, top5, loss, ortho) = (cell(row.top1), cell(row.top5), cell(row.loss), cell(row.ortho));
        let miou = cell(row.miou);
        writeln!(
            w,
            "{},{:.3},{:.6},{top1},{top5},{loss},{:.6e},{ortho},{:.6},{:.1},{:.4},{miou}",
            row.epoch, row.seconds, row.train_loss, row.lr, row.train_top1, row.images_per_second, row.waited
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_known_columns_and_empty_cells_where_nothing_was_measured() {
        let row = EpochRow {
            epoch: 1,
            seconds: 2.5,
            train_loss: 1.25,
            train_top1: 0.5,
            top1: Some(0.75),
            top5: Some(1.0),
            loss: Some(0.5),
            miou: Some(0.125),
            ortho: Some(0.25),
            lr: 0.1,
            skipped: 0,
            images_per_second: 1234.56,
            waited: 0.03125,
        };
        let mut text = Vec::new();
        let bare = EpochRow { epoch: 2, top1: None, top5: None, loss: None, miou: None, ortho: None, ..row };
        write_csv(&[row, bare], &mut text).unwrap();
        let expected = "epoch,time,train/loss,metrics/accuracy_top1,metrics/accuracy_top5,val/loss,lr/pg0,train/ortho,\
                        train/accuracy_top1,images_per_second,waited,metrics/miou\n\
                        1,2.500,1.250000,0.750000,1.000000,0.500000,1.000000e-1,0.250000,0.500000,1234.6,0.0312,0.125000\n\
                        2,2.500,1.250000,,,,1.000000e-1,,0.500000,1234.6,0.0312,\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn the_best_yields_to_more_accuracy_then_less_loss_then_the_later() {
        let best = Best { epoch: 1, top1: 0.5, loss: 1.0, miou: None };
        let metrics = |top1, loss| Metrics {
            top1,
            loss,
            top5: 1.0,
            images: 4,
            pixels: None,
            skipped: 0,
            classes: Vec::new(),
            confusion: None,
        };
        for (top1, loss, yields) in
            [(0.6, 9.0, true), (0.5, 0.9, true), (0.5, 1.0, true), (0.5, 1.1, false), (0.4, 0.1, false)]
        {
            assert_eq!(best.yields_to(&metrics(top1, loss)), yields, "{top1} {loss}");
        }
    }
}
