//! How a classifier does, class by class: rows, tables of numbers, a picture.

use std::collections::BTreeMap;
use std::path::Path;

use sepal_formats::atomic;
use sepal_report::{Table, confusion_svg, grouped};
use sepal_train::{ClassMetrics, Metrics};
use serde::Serialize;

/// One class.
#[derive(Serialize)]
pub(crate) struct ClassScore {
    pub(crate) name: String,
    images: u64,
    correct: u64,
    /// Share of the class's pictures that were recognised, which is its recall.
    accuracy: f64,
    precision: f64,
    recall: f64,
    f1: f64,
    /// Intersection over union, of pixels; absent where the class neither is there nor was taken for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    iou: Option<f64>,
}

/// Means over the classes that have pictures, each counting alike.
#[derive(Serialize)]
pub(crate) struct Macro {
    precision: f64,
    recall: f64,
    pub(crate) f1: f64,
}

/// The scores of all classes.
#[derive(Serialize)]
pub(crate) struct Scores {
    /// Mean intersection over union, where pictures have masks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) miou: Option<f64>,
    /// The same of each class by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    iou: Option<BTreeMap<String, Option<f64>>>,
    #[serde(rename = "macro")]
    pub(crate) mean: Macro,
    pub(crate) classes: Vec<ClassScore>,
    /// A row for each true class, a column for each predicted one.
    confusion: Option<Vec<Vec<u64>>>,
}

impl Scores {
    pub(crate) fn new(names: &[String], metrics: &Metrics) -> Self {
        let class = |(name, class): (&String, &ClassMetrics)| ClassScore {
            name: name.clone(),
            images: class.images,
            correct: class.correct,
            accuracy: class.accuracy(),
            precision: class.precision(),
            recall: class.accuracy(),
            f1: class.f1(),
            iou: metrics.pixels.and_then(|_| class.iou()),
        };
        let classes: Vec<ClassScore> = names.iter().zip(&metrics.classes).map(class).collect();
        let confusion = metrics.confusion.as_ref();
        Self {
            miou: metrics.miou(),
            iou: metrics.pixels.map(|_| classes.iter().map(|class| (class.name.clone(), class.iou)).collect()),
            mean: Macro {
                precision: metrics.mean_of_classes(ClassMetrics::precision),
                recall: metrics.mean_of_classes(ClassMetrics::accuracy),
                f1: metrics.macro_f1(),
            },
            classes,
            confusion: confusion.map(|c| c.counts().chunks(c.classes().max(1)).map(<[u64]>::to_vec).collect()),
        }
    }

    /// A line for each class, and one for their means.
    pub(crate) fn table(&self) -> Table {
        let masks = self.miou.is_some();
        let mut table = Table::new().left("class").right(if masks { "pixels" } else { "images" });
        table = table.right("precision").right("recall").right("F1");
        if masks {
            table = table.right("IoU");
        }
        let iou = |iou: Option<f64>| masks.then(|| iou.map_or("–".to_owned(), |iou| format!("{iou:.4}")));
        let shares = |shares: [f64; 3]| shares.map(|share| format!("{share:.4}"));
        for class in &self.classes {
            let cells = shares([class.precision, class.recall, class.f1]);
            table.row([class.name.clone(), grouped(class.images)].into_iter().chain(cells).chain(iou(class.iou)));
        }
        let images = grouped(self.classes.iter().map(|class| class.images).sum());
        let Macro { precision, recall, f1 } = self.mean;
        let means = shares([precision, recall, f1]).into_iter().chain(iou(self.miou));
        table.rule().row(["mean of classes".to_owned(), images].into_iter().chain(means));
        table
    }

    /// Writes `confusion_matrix.svg`, `confusion.csv` and `classes.csv` to `folder`.
    pub(crate) fn write(&self, folder: &Path) -> sepal_formats::Result<()> {
        let names: Vec<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
        if let Some(rows) = &self.confusion {
            let svg = confusion_svg(&names, &rows.concat());
            atomic::write(folder.join("confusion_matrix.svg"), |w| w.write_all(svg.as_bytes()))?;
            let mut text = format!("true/predicted,{}\n", list(names.iter().map(|name| cell(name))));
            for (name, row) in names.iter().zip(rows) {
                text += &format!("{},{}\n", cell(name), list(row.iter().map(u64::to_string)));
            }
            atomic::write(folder.join("confusion.csv"), |w| w.write_all(text.as_bytes()))?;
        }
        // Of data with masks the counts are of pixels.
        let masks = self.miou.is_some();
        let mut text = format!("class,images,correct,precision,recall,f1{}\n", if masks { ",iou" } else { "" });
        for class in &self.classes {
            let ClassScore { name, images, correct, precision, recall, f1, iou, .. } = class;
            let iou = iou.map_or(String::new(), |iou| format!("{iou:.6}"));
            let iou = if masks { format!(",{iou}") } else { iou };
            text += &format!("{},{images},{correct},{precision:.6},{recall:.6},{f1:.6}{iou}\n", cell(name));
        }
        atomic::write(folder.join("classes.csv"), |w| w.write_all(text.as_bytes()))
    }
}

fn list(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(",")
}

/// A cell of a CSV table, quoted where it has to be (RFC 4180).
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes() {
        assert_eq!([cell("cat"), cell("a,b"), cell("a \"b\"")], ["cat", "\"a,b\"", "\"a \"\"b\"\"\""]);
    }

    #[test]
    fn scores_of_two_classes_and_of_one_without_pictures() {
        let class = |images, correct, predicted| ClassMetrics { images, correct, predicted };
        let metrics = Metrics {
            loss: 0.5,
            top1: 0.75,
            top5: 1.0,
            images: 4,
            pixels: None,
            skipped: 0,
            classes: vec![class(2, 1, 1), class(2, 2, 3), class(0, 0, 0)],
            confusion: None,
        };
        let scores = Scores::new(&["a".to_owned(), "b,c".to_owned(), "d".to_owned()], &metrics);
        assert_eq!((scores.mean.recall, scores.mean.precision), (0.75, (1.0 + 2.0 / 3.0) / 2.0));
        assert!((scores.mean.f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        assert!(scores.table().to_string().lines().last().unwrap().starts_with("mean of classes"));
        let dir = tempfile::tempdir().unwrap();
        scores.write(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("classes.csv")).unwrap();
        assert_eq!(text.lines().nth(2), Some("\"b,c\",2,2,0.666667,1.000000,0.800000"));
        assert!(!dir.path().join("confusion.csv").exists());
    }
}
