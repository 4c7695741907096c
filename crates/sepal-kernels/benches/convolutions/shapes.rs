//! The convolutions of real networks, from the lists in `bench/shapes`.

use sepal_kernels::{Conv, Dims};

/// A convolution of one picture.
pub(crate) struct Shape {
    /// Such as `512-512@14x14 3x3 depthwise, 5 times`.
    pub(crate) name: String,
    conv: Conv,
}

impl Shape {
    /// The convolution of a batch.
    pub(crate) fn of(&self, n: usize) -> Conv {
        let Conv { input, output, .. } = self.conv;
        Conv { input: Dims { n, ..input }, output: Dims { n, ..output }, ..self.conv }
    }
}

/// The lists, by network.
const LISTS: [(&str, &str); 5] = [
    ("mobilenet_v1", include_str!("../../../../bench/shapes/mobilenet_v1.txt")),
    ("mobilenet_v2", include_str!("../../../../bench/shapes/mobilenet_v2.txt")),
    ("mobilenet_v3_large", include_str!("../../../../bench/shapes/mobilenet_v3_large.txt")),
    ("resnet50", include_str!("../../../../bench/shapes/resnet50.txt")),
    ("espnet", include_str!("../../../../bench/shapes/espnet.txt")),
];

/// Every network with its shapes.
pub(crate) fn networks() -> impl Iterator<Item = (&'static str, Vec<Shape>)> {
    LISTS.into_iter().map(|(network, list)| {
        let lines = list.lines().filter(|line| !line.starts_with('#'));
        (network, lines.map(|line| parse(line).unwrap_or_else(|| panic!("{network}: no shape: {line}"))).collect())
    })
}

fn parse(line: &str) -> Option<Shape> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [times, c, filters, h, w, out_h, out_w, kernel, stride, padding, dilation, groups] = words[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<usize>().ok();
    let pair = |text: &str| text.split_once('x').and_then(|(a, b)| Some([number(a)?, number(b)?]));
    let conv = Conv {
        input: Dims::new(1, number(c)?, number(h)?, number(w)?),
        output: Dims::new(1, number(filters)?, number(out_h)?, number(out_w)?),
        kernel: pair(kernel)?,
        stride: pair(stride)?,
        padding: pair(padding)?,
        dilation: pair(dilation)?,
        groups: number(groups)?,
    };
    let mut name = format!("{c}-{filters}@{out_h}x{out_w} {kernel}");
    if conv.stride != [1, 1] {
        name += &format!(" stride {}", conv.stride[0]);
    }
    if conv.dilation != [1, 1] {
        name += &format!(" dilated {}", conv.dilation[0]);
    }
    match conv.groups {
        1 => {}
        groups if groups == conv.input.c => name += " depthwise",
        groups => name += &format!(" in {groups} groups"),
    }
    if number(times)? > 1 {
        name += &format!(", {times} times");
    }
    Some(Shape { name, conv })
}
