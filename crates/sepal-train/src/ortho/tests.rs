use sepal_graph::{Builder, Conv2d, Shape, Weights};
use sepal_kernels::Level;
use sepal_kernels::pool::{Serial, ThreadPool};
use sepal_testing::{assert_close, finite_difference};

use super::*;

/// The first factors of two BSConv-S blocks, 6 to 4 and 20 to 18 channels, the weights of `Weights::noise`.
fn params(names: [&str; 2]) -> Params {
    let mut b = Builder::new("factors");
    let x = b.input("input", Shape::chw(6, 2, 2).unwrap()).unwrap();
    let x = b.conv(names[0], x, Conv2d::pointwise(4)).unwrap();
    let x = b.conv("between", x, Conv2d::standard(20, 1).bias(true)).unwrap();
    let x = b.conv(names[1], x, Conv2d::pointwise(18)).unwrap();
    let x = b.conv("depthwise", x, Conv2d::depthwise(18, 3).same()).unwrap();
    let graph = b.finish(&[x]).unwrap();
    let mut params = Params::new(&graph, &Weights::init(&graph, 0).unwrap()).unwrap();
    for (p, name) in names.into_iter().enumerate() {
        let range = slot(&params, name).range.clone();
        for (i, value) in params.values[range].iter_mut().enumerate() {
            *value = Weights::noise(p, i) as f32;
        }
    }
    params
}

fn slot<'a>(params: &'a Params, name: &str) -> &'a Slot {
    params.slots.iter().find(|slot| slot.path == format!("{name}.weight")).unwrap()
}

const NAMES: [&str; 2] = ["a.pointwise1", "b.project"];

/// α·‖WWᵀ − I‖_F by its definition.
fn naive(alpha: f64, w: &[f64], columns: usize) -> f64 {
    let rows: Vec<&[f64]> = w.chunks(columns).collect();
    let mut sum = 0.0;
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            let dot: f64 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
            sum += (dot - f64::from(u8::from(i == j))).powi(2);
        }
    }
    alpha * sum.sqrt()
}

#[test]
fn value_and_gradient_are_those_of_the_definition() {
    let ortho = Ortho { alpha: 0.3, paths: None };
    for level in Level::available() {
        let mut params = params(NAMES);
        params.grads.fill(0.25);
        let mut regulariser = Regulariser::new(&ortho, &params, 1).unwrap();
        let value = regulariser.step(Exec { level, pool: &Serial }, &mut params);
        let mut total = 0.0;
        for (name, columns) in NAMES.into_iter().zip([6, 20]) {
            let range = slot(&params, name).range.clone();
            let wide: Vec<f64> = params.values[range.clone()].iter().map(|&v| f64::from(v)).collect();
            total += naive(0.3, &wide, columns);
            let want: Vec<f64> = finite_difference(|w| naive(0.3, w, columns), &wide, 1e-6);
            let want: Vec<f64> = want.iter().map(|gradient| gradient + 0.25).collect();
            assert_close(&params.grads[range], &want, 1e-5, 1e-6, name);
        }
        assert_close(&[value], &[total], 1e-6, 0.0, "value");
        // No other parameter has a part in it.
        for slot in params.slots.iter().filter(|slot| !NAMES.iter().any(|name| slot.path.starts_with(name))) {
            assert!(params.grads[slot.range.clone()].iter().all(|&gradient| gradient == 0.25), "{}", slot.path);
        }
    }
}

#[test]
fn it_is_the_authors() {
    // `reg_loss(alpha=0.1)` of two BSConvS modules of PyPI's bsconv 0.4.0 with these weights, in f64.
    let mut params = params(NAMES);
    let mut regulariser = Regulariser::new(&Ortho::default(), &params, 1).unwrap();
    let value = regulariser.step(Exec::new(&Serial), &mut params);
    assert_close(&[value], &[3.582_079_290_608_552_6], 1e-6, 0.0, "value");
    let golden = [
        ([0, 1, 7, 12, 23], [-0.027_632_680_9, -0.047_633_693_5, -0.133_047_186_2, 0.078_133_117_5, -0.049_945_989_8]),
        ([0, 1, 7, 180, 359], [-0.003_416_070_0, 0.020_437_764_0, 0.007_509_173_2, 0.005_706_869_2, 0.038_843_424_8]),
    ];
    for (name, (places, want)) in NAMES.into_iter().zip(golden) {
        let gradient = &params.grads[slot(&params, name).range.clone()];
        assert_close(&places.map(|at| gradient[at]), &want, 1e-5, 1e-7, name);
    }
}

#[test]
fn orthonormal_rows_cost_nothing_and_threads_change_nothing() {
    let mut params = params(NAMES);
    for (name, columns) in NAMES.into_iter().zip([6, 20]) {
        let range = slot(&params, name).range.clone();
        for (i, value) in params.values[range].iter_mut().enumerate() {
            *value = f32::from(u8::from(i / columns == i % columns));
        }
    }
    let mut regulariser = Regulariser::new(&Ortho::default(), &params, 1).unwrap();
    assert_eq!(regulariser.step(Exec::new(&Serial), &mut params), 0.0);
    assert!(params.grads.iter().all(|&gradient| gradient == 0.0));

    let gradients = [1, 3].map(|threads| {
        let mut params = self::params(NAMES);
        let pool = ThreadPool::new(threads).unwrap();
        let mut regulariser = Regulariser::new(&Ortho::default(), &params, threads).unwrap();
        (regulariser.step(Exec::new(&pool), &mut params), params.grads.to_vec())
    });
    assert_eq!(gradients[0], gradients[1]);
}

#[test]
fn paths_that_fit_nothing_are_refused() {
    let refused = |names, ortho: Ortho| {
        let error = Regulariser::new(&ortho, &params(names), 1).err().unwrap();
        error.to_string()
    };
    let of = |paths: &[&str]| Ortho { paths: Some(paths.iter().map(|p| p.to_string()).collect()), ..Ortho::default() };
    let text = refused(["first", "second"], Ortho::default());
    assert!(text.contains("ortho.paths") && text.contains("no BSConv-S"), "{text}");
    assert!(refused(NAMES, of(&["*.nothing"])).contains("matches no parameter"));
    let text = refused(NAMES, of(&["depthwise.weight"]));
    assert!(text.contains("depthwise.weight") && text.contains("[18, 1, 3, 3]"), "{text}");
    assert!(Regulariser::new(&of(&["first.weight"]), &params(["first", "second"]), 1).is_ok());
}
