//! What units respond to, against the pictures themselves.

use std::sync::Arc;

use sepal_data::{Dataset, Subset, sample};
use sepal_graph::{
    Activation, Builder, ColorOrder, Conv2d, Filter, Meta, Model, NodeId, Preprocessing, Resize, Shape, Tensor, Weights,
};
use sepal_kernels::pool::{Pool, Serial, ThreadPool};
use sepal_train::{EvalOptions, LayerKind, UnitReport, measure_units};

/// Side of the sample's pictures, which are grey.
const SIDE: usize = 28;

/// The sample's first pictures.
fn pictures(count: usize) -> Arc<dyn Dataset> {
    Arc::new(Subset::new(sample().unwrap().train, (0..count as u32).collect()).unwrap())
}

fn model(build: impl FnOnce(&mut Builder, NodeId) -> NodeId) -> Model {
    let mut b = Builder::new("net");
    let x = b.input("input", Shape::chw(3, SIDE, SIDE).unwrap()).unwrap();
    let x = build(&mut b, x);
    let x = b.global_avg_pool("pool", x).unwrap();
    let x = b.linear("classifier", x, 10).unwrap();
    let graph = b.finish(&[x]).unwrap();
    let preprocessing = Preprocessing {
        size: [SIDE; 2],
        mean: [0.0; 3],
        std: [1.0; 3],
        resize: Resize::Squash,
        filter: Filter::Bilinear,
        color_order: ColorOrder::Rgb,
    };
    let meta = Meta { preprocessing: Some(preprocessing), ..Meta::default() };
    let weights = Weights::init(&graph, 1).unwrap();
    Model::new(graph, weights, meta).unwrap()
}

fn measure(model: &Model, pictures: usize, pool: Arc<dyn Pool>, batch: usize) -> sepal_train::Result<UnitReport> {
    measure_units(model, &self::pictures(pictures), &pool, 4, &EvalOptions { batch, ..EvalOptions::default() }, &mut ())
}

#[test]
fn units_are_those_of_the_pictures() {
    let mut model = model(|b, x| {
        let x = b.conv("a.depthwise", x, Conv2d::depthwise(3, 1)).unwrap();
        let x = b.conv("a.pointwise", x, Conv2d::pointwise(2)).unwrap();
        b.activation("a.act", x, Activation::Relu).unwrap()
    });
    model.weights.insert("a.depthwise.weight", Tensor::new(vec![3, 1, 1, 1], vec![1.0, -1.0, 2.0]).unwrap());
    model
        .weights
        .insert("a.pointwise.weight", Tensor::new(vec![2, 3, 1, 1], vec![2.0, 1.0, 0.0, 0.0, 0.0, -1.0]).unwrap());
    let report = measure(&model, 50, Arc::new(Serial), 8).unwrap();
    assert_eq!((report.images, report.layers.len()), (50, 2));
    let (depthwise, pointwise) = (&report.layers[0], &report.layers[1]);
    assert_eq!((depthwise.path.as_str(), depthwise.kind), ("a.depthwise", LayerKind::Depthwise));
    assert_eq!((pointwise.kind, pointwise.kernel, pointwise.units.len()), (LayerKind::Pointwise, [1, 1], 2));

    let data = pictures(50);
    // What each unit is of a pixel.
    let units: [fn([f64; 3]) -> f64; 4] = [|p| p[0], |p| -p[1], |p| 2.0 * p[2], |p| (2.0 * p[0] - p[1]).max(0.0)];
    let measured = [&depthwise.units[0], &depthwise.units[1], &depthwise.units[2], &pointwise.units[0]];
    for (of, unit) in units.iter().zip(measured) {
        let (mut sums, mut counts, mut maxima) = ([0.0; 10], [0.0; 10], Vec::new());
        for index in 0..50 {
            let picture = data.decode(index).unwrap();
            let pixels = picture.pixels.chunks_exact(3).map(|p| of([0, 1, 2].map(|c| f64::from(p[c]) / 255.0)));
            let pixels: Vec<f64> = pixels.collect();
            let label = data.label(index) as usize;
            sums[label] += pixels.iter().map(|v| v.max(0.0)).sum::<f64>() / pixels.len() as f64;
            counts[label] += 1.0;
            maxima.push((pixels.iter().copied().fold(f64::MIN, f64::max), index as u32));
        }
        let there = sums.iter().zip(counts).filter(|(_, count)| *count > 0.0);
        let means: Vec<f64> = there.map(|(sum, count)| sum / count).collect();
        let most = means.iter().copied().fold(f64::MIN, f64::max);
        let rest = (means.iter().sum::<f64>() - most) / (means.len() - 1) as f64;
        match unit.selectivity {
            Some(found) => assert!((found - (most - rest) / (most + rest)).abs() < 1e-4, "{found} {means:?}"),
            None => assert_eq!(most, 0.0),
        }
        maxima.sort_by(|a, b| b.0.total_cmp(&a.0));
        for ((value, _), &(index, found)) in maxima.iter().zip(&unit.top) {
            assert!((value - f64::from(found)).abs() < 1e-5 && (index as usize) < 50, "{value} {found}");
        }
        assert_eq!(unit.top.len(), 4);
    }
    // Mean red is one of the features.
    assert!(depthwise.units[0].low_level.unwrap() > 0.999_9);
    assert!(depthwise.units[1].selectivity.is_none() && depthwise.units[1].low_level.is_none());
    // Neither threads nor batches change it.
    assert_eq!(measure(&model, 50, Arc::new(ThreadPool::new(3).unwrap()), 50).unwrap(), report);
}

#[test]
fn which_layers_are_measured() {
    let swapped = model(|b, x| {
        let mut x = b.conv("stem", x, Conv2d::standard(4, 3).same()).unwrap();
        for name in ["a", "b", "c"] {
            x = b
                .scope(name, |b| {
                    let x = b.conv("depthwise", x, Conv2d::depthwise(4, 1))?;
                    let x = b.batch_norm("bn", x)?;
                    b.conv("pointwise", x, Conv2d::standard(4, 3).same())
                })
                .unwrap();
        }
        x
    });
    let report = measure(&swapped, 20, Arc::new(Serial), 20).unwrap();
    let paths: Vec<_> = report.layers.iter().map(|layer| (layer.path.as_str(), layer.kernel[0])).collect();
    let expected = [("a", 1, 3), ("b", 1, 3), ("c", 1, 3)].map(|(name, d, p)| [(name, d), (name, p)]).concat();
    assert_eq!(paths.iter().map(|(path, k)| (&path[..1], *k)).collect::<Vec<_>>(), expected);
    let found = report.selectivity.unwrap();
    assert!(found.n == 3 && found.low <= found.mean && found.mean <= found.high, "{found:?}");
    let standard = model(|b, x| b.conv("conv", x, Conv2d::standard(4, 3).same()).unwrap());
    let error = measure(&standard, 20, Arc::new(Serial), 20).unwrap_err().to_string();
    assert!(error.contains("no depthwise layer"), "{error}");
}
